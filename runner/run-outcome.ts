import type { RunState } from '../lib/runs/states.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

export interface RunOutcome {
  /** How each run of the flow ended. */
  readonly states: readonly RunState[];
  /** Restores and verifications that succeeded. */
  readonly tasks: number;
  /** Errors that nodes reported. */
  readonly nodeErrors: number;
  readonly deadlinePassed: boolean;
}

/** The exit code of `dbackup run`, when no signal ended it. A flow that did nothing has failed. */
export function exitCodeOfRun({ states, tasks, nodeErrors, deadlinePassed }: RunOutcome): ExitCode {
  if (deadlinePassed) return EXIT.deadline;
  if (states.length + tasks === 0) return EXIT.failed;
  if (states.some((state) => state !== 'succeeded' && state !== 'partial')) return EXIT.failed;
  return states.includes('partial') || nodeErrors > 0 ? EXIT.partial : EXIT.ok;
}
