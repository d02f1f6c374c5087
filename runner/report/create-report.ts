import type { Output } from '../output.ts';
import { JsonReport } from './json-report.ts';
import { ProgressBars, ProgressLines } from './progress-view.ts';
import type { RunReport } from './run-report.ts';
import { TextReport } from './text-report.ts';

export interface ReportOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** JSON lines when asked for; else a bar on a terminal, and lines where there is none. */
export function createReport(options: ReportOptions, output: Output): RunReport {
  if (options.json) return new JsonReport(output);
  const quiet = options.quiet ?? false;
  if (quiet) return new TextReport(output, new ProgressLines(output, Number.POSITIVE_INFINITY), { quiet });
  const view = process.stderr.isTTY ? new ProgressBars(output, process.stderr) : new ProgressLines(output);
  return new TextReport(output, view, { quiet });
}
