import { BackupError } from '../lib/errors.ts';
import { endProcess } from './end-process.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

const CODES = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated } as const;

/** How long a command may clean up that says nothing else, in ms. */
const DEADLINE_MS = 20_000;

/** How a command ends when a signal comes. */
export interface StopManner {
  /** The process ends by then, whatever is left, in ms after the signal. */
  readonly deadlineMs: number;
  /** Aborted by the second signal; the process then ends at once with the third one only. */
  readonly hurry?: AbortController;
  /** Says what is left when the deadline has come. */
  readonly tellLate?: (exitCode: ExitCode) => void;
}

/** SIGINT and SIGTERM as an AbortSignal: the first one asks to end cleanly, the second one ends at once. */
export interface StopRequest {
  readonly signal: AbortSignal;
  /** The exit code of the signal that came, if one did. */
  readonly exitCode: ExitCode | undefined;
  /** Ends in that manner from now on. */
  adopt(manner: StopManner): void;
  /** Gives the signals back to Node. */
  dispose(): void;
}

export interface StopHandlers {
  /** Called at the deadline, before the process ends. */
  readonly late: (manner: StopManner, exitCode: ExitCode) => void;
  readonly exit?: (code: ExitCode) => void;
}

export function listenForStop({ late, exit = endProcess }: StopHandlers): StopRequest {
  const controller = new AbortController();
  let manner: StopManner = { deadlineMs: DEADLINE_MS };
  let exitCode: ExitCode | undefined;
  let askedAt = 0;
  let deadline: NodeJS.Timeout | undefined;
  const watch = (code: ExitCode) => {
    clearTimeout(deadline);
    deadline = setTimeout(
      () => {
        late(manner, code);
        exit(code);
      },
      Math.max(0, askedAt + manner.deadlineMs - performance.now()),
    ).unref();
  };
  const stop = (name: NodeJS.Signals) => {
    const code = CODES[name as keyof typeof CODES];
    if (exitCode === undefined) {
      exitCode = code;
      askedAt = performance.now();
      watch(code);
      controller.abort(new BackupError('aborted', `DBackup was stopped by ${name}`));
    } else if (manner.hurry?.signal.aborted === false) {
      manner.hurry.abort();
      const elapsedMs = performance.now() - askedAt;
      manner = { ...manner, deadlineMs: Math.min(manner.deadlineMs, elapsedMs + DEADLINE_MS) };
      watch(code);
    } else exit(code);
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  return {
    signal: controller.signal,
    get exitCode() {
      return exitCode;
    },
    adopt(adopted) {
      manner = adopted;
      if (exitCode !== undefined) watch(exitCode);
    },
    dispose() {
      clearTimeout(deadline);
      process.off('SIGINT', stop).off('SIGTERM', stop);
    },
  };
}
