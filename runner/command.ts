import type { ExitCode } from './exit-codes.ts';
import type { Output } from './output.ts';
import type { StopManner } from './signals.ts';

/** What every command gets besides its own arguments. */
export interface CommandContext {
  readonly output: Output;
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
  /** The exit code of the signal that came, if one did. */
  readonly stopCode: () => ExitCode | undefined;
  /** Says how the command ends when a signal comes. */
  readonly onStop: (manner: StopManner) => void;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** A command: what it answers goes to the output, what became of it is the exit code. May throw BackupError. */
export type CommandBody<Input> = (input: Input, context: CommandContext) => Promise<ExitCode>;
