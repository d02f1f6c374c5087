import type { ByteStream } from '../bytes/stream.ts';
import type { KeyRing } from '../keys/keys.ts';
import { verifyChecksum } from './checksum.ts';
import { COMPRESS_EXTENSIONS, compressUndoCommand, decompress } from './compress.ts';
import { decrypt, encryptUndoCommand } from './decrypt.ts';
import type { StepRecord } from './records.ts';
import type { UndoCommand } from './transform.ts';

/** What undoing may need besides the record. */
export interface UndoContext {
  readonly keys: KeyRing;
  readonly signal: AbortSignal;
}

/**
 * Undoes one step as its record says. Nothing is read before the result is pulled.
 * @throws BackupError while it is read: `incomplete`, `corrupt`, `wrong-key`, `missing-key`, `aborted`
 */
export function undoStep(record: StepRecord, input: ByteStream, context: UndoContext): ByteStream {
  switch (record.kind) {
    case 'compress':
      return decompress(record.algorithm, input, context.signal, { end: 'required' });
    case 'checksum':
      return verifyChecksum(record, input, context.signal);
    case 'encrypt':
      return decrypt(record, input, context);
  }
}

/** Undoes all steps of an artifact, the last one first. `records` are in the order of the manifest. */
export function undoSteps(
  records: readonly StepRecord[],
  input: ByteStream,
  context: UndoContext,
): ByteStream {
  return records.reduceRight((stream, record) => undoStep(record, stream, context), input);
}

/** How a person undoes the step with a standard tool; undefined when the step left the bytes as they were. */
export function undoCommand(record: StepRecord): UndoCommand | undefined {
  switch (record.kind) {
    case 'compress':
      return compressUndoCommand(record);
    case 'checksum':
      return undefined;
    case 'encrypt':
      return encryptUndoCommand(record);
  }
}

/** What the step appended to the file's name, with the dot; empty when nothing. */
export function extensionOf(record: StepRecord): string {
  switch (record.kind) {
    case 'compress':
      return COMPRESS_EXTENSIONS[record.algorithm];
    case 'checksum':
      return '';
    case 'encrypt':
      return `.${record.format}`;
  }
}
