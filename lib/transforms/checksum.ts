import { createHash } from 'node:crypto';
import { z } from 'zod';
import { abortable } from '../bytes/abortable.ts';
import type { ByteStream } from '../bytes/stream.ts';
import { BackupError } from '../errors.ts';
import { type ChecksumRecord, checksumRecord } from './records.ts';
import type { Transform } from './transform.ts';

export const checksumOptions = z.object({
  algorithm: checksumRecord.shape.algorithm.default('sha256'),
});

export type ChecksumOptions = z.input<typeof checksumOptions>;

/**
 * A transform that passes the bytes on unchanged and records their digest at this point of the chain.
 * @throws BackupError `invalid-config` when the options are wrong
 */
export function createChecksum(options: ChecksumOptions = {}): Transform {
  const parsed = checksumOptions.safeParse(options);
  if (!parsed.success) {
    throw new BackupError(
      'invalid-config',
      `Checksum: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`,
    );
  }
  const { algorithm } = parsed.data;
  return {
    kind: 'checksum',
    extension: '',
    forward(input, signal) {
      let digest: string | undefined;
      return {
        output: digested(input, algorithm, signal, (result) => {
          digest = result;
        }),
        record() {
          if (digest === undefined) throw new BackupError('internal', 'The checksum is asked for too early');
          return { kind: 'checksum', algorithm, digest };
        },
      };
    },
  };
}

/**
 * Passes the bytes on and compares their digest with the record.
 * @throws BackupError `corrupt` when it differs, before the last chunk is released
 */
export async function* verifyChecksum(
  record: ChecksumRecord,
  input: ByteStream,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  let held: Buffer | undefined;
  let digest = '';
  for await (const chunk of digested(input, record.algorithm, signal, (result) => (digest = result))) {
    if (held !== undefined) yield held;
    held = chunk;
  }
  if (digest !== record.digest) {
    throw new BackupError(
      'corrupt',
      `The data has the ${record.algorithm} digest ${digest}, recorded was ${record.digest}: it is damaged or not complete`,
    );
  }
  if (held !== undefined) yield held;
}

async function* digested(
  input: ByteStream,
  algorithm: ChecksumRecord['algorithm'],
  signal: AbortSignal,
  onEnd: (digest: string) => void,
): AsyncGenerator<Buffer> {
  const hash = createHash(algorithm);
  for await (const chunk of abortable(input, signal)) {
    if (chunk.length === 0) continue;
    hash.update(chunk);
    yield chunk;
  }
  onEnd(hash.digest('hex'));
}
