import type { EventEmitter } from 'node:events';
import type { BackupError } from '../../lib/errors.ts';
import type { FlowProblem } from '../../lib/plan/flow-problem.ts';
import type { EngineEvents, RunResult } from '../../lib/runs/outcome.ts';
import type { ExitCode } from '../exit-codes.ts';
import type { NodeError } from '../node-reports.ts';
import type { LogLine } from '../runtime.ts';

/** How a command that runs a flow tells what happens. */
export interface RunReport {
  /** What is wrong with the flow. */
  problems(problems: readonly FlowProblem[]): void;
  /** Tells from now on what the engine does. */
  follow(events: EventEmitter<EngineEvents>): void;
  /** What Node-RED or a node logged. */
  log(line: LogLine): void;
  /** HTTP In nodes answer here from now on. */
  listening(url: string): void;
  /** Why the command ends without having run to its end. */
  failed(error: BackupError): void;
  /** The end of the command; nothing is told after it. */
  ended(end: RunEnd): void;
}

export interface RunEnd {
  readonly exitCode: ExitCode;
  readonly results: readonly RunResult[];
  /** What nodes of the flow reported. */
  readonly nodeErrors: readonly NodeError[];
  readonly elapsedMs: number;
}
