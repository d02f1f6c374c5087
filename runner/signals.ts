import { BackupError } from '../lib/errors.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

const CODES = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated } as const;

/** SIGINT and SIGTERM as an AbortSignal: the first one asks to end cleanly, the second one ends at once. */
export interface StopRequest {
  readonly signal: AbortSignal;
  /** The exit code of the signal that came, if one did. */
  readonly exitCode: ExitCode | undefined;
  /** Gives the signals back to Node. */
  dispose(): void;
}

export function listenForStop(
  onSecond: (code: ExitCode) => void = (code) => process.exit(code),
): StopRequest {
  const controller = new AbortController();
  let exitCode: ExitCode | undefined;
  const stop = (name: NodeJS.Signals) => {
    const code = CODES[name as keyof typeof CODES];
    if (exitCode !== undefined) return onSecond(code);
    exitCode = code;
    controller.abort(new BackupError('aborted', `DBackup was stopped by ${name}`));
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  return {
    signal: controller.signal,
    get exitCode() {
      return exitCode;
    },
    dispose: () => void process.off('SIGINT', stop).off('SIGTERM', stop),
  };
}
