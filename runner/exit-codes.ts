import type { BackupError, ErrorCode } from '../lib/errors.ts';

/** What the process's exit code says. Scripts and schedulers hang on these: they never change. */
export const EXIT = {
  ok: 0,
  /** The run, restore or check failed. */
  failed: 1,
  /** Wrong arguments, or a flow, setting or key that is not valid: nothing was touched. */
  usage: 2,
  /** Node-RED, the store or the HTTP port could not be had: nothing was touched. */
  notStarted: 3,
  /** The deadline came first; what ran was cancelled and cleaned up. */
  deadline: 4,
  /** Some of it is stored, some of it failed. */
  partial: 5,
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Codes of errors that lie in what the person gave, not in what happened. */
const USAGE: readonly ErrorCode[] = ['invalid-config'];

/** The exit code for an error that ended a command. */
export function exitCodeOf(error: BackupError): ExitCode {
  return USAGE.includes(error.code) ? EXIT.usage : EXIT.failed;
}

/** The exit code for an error that kept the runtime from starting. */
export function startExitCodeOf(error: BackupError): ExitCode {
  return USAGE.includes(error.code) ? EXIT.usage : EXIT.notStarted;
}
