import type { RunState } from '../lib/engine/outcome.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

export interface RunOutcome {
  /** How each run of the flow ended. */
  readonly states: readonly RunState[];
  /** Errors that nodes reported and no Catch node took. */
  readonly nodeErrors: number;
  readonly deadlinePassed: boolean;
}

/** The exit code of `dbackup run`, when no signal ended it. A flow that backed nothing up has failed. */
export function exitCodeOfRun({ states, nodeErrors, deadlinePassed }: RunOutcome): ExitCode {
  if (deadlinePassed) return EXIT.deadline;
  if (states.length === 0) return EXIT.failed;
  if (states.some((state) => state !== 'succeeded' && state !== 'partial')) return EXIT.failed;
  return states.includes('partial') || nodeErrors > 0 ? EXIT.partial : EXIT.ok;
}
