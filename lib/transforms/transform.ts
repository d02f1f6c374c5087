import type { ByteStream } from '../bytes/stream.ts';
import type { StepRecord } from './records.ts';

/**
 * The transform port. A transform is configured once (by its node) and opened once per artifact and
 * branch. Undoing is not done by the transform itself but from its record: see `inverse.ts`.
 */
export interface Transform {
  readonly kind: StepRecord['kind'];
  /** Appended to the artifact's file name, with the dot: `.zst`; empty when the bytes pass unchanged. */
  readonly extension: string;
  /** Starts one pass over one artifact. Nothing is read before the output is pulled. */
  forward(input: ByteStream, signal: AbortSignal): ForwardPass;
}

export interface ForwardPass {
  readonly output: ByteStream;
  /** What the manifest remembers; valid only after `output` was drained without an error. */
  record(): StepRecord;
}

/** One line of a shell that undoes a step with standard tools, for RESTORE.md. */
export interface UndoCommand {
  /** The program that must be installed: `zstd`, `age`, `node`. */
  readonly tool: string;
  /** What a person must have at hand before the command runs: a key file, a passphrase. Markdown. */
  readonly advice?: string;
  /** The command, reading `input` and writing `output`, both already quoted for a POSIX shell. */
  command(input: string, output: string): string;
}
