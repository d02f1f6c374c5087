import { once } from 'node:events';
import { abortError } from '../../lib/errors.ts';
import type { CommandBody } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import type { FlowOptions } from '../flow-input.ts';
import { openSession, type PaceOptions } from '../flow-session.ts';
import { createReport, type ReportOptions } from '../report/create-report.ts';
import { apiToken } from '../runs-handler.ts';
import { Stopping, stopPlan } from '../stopping.ts';

export interface ServeInput extends FlowOptions, PaceOptions, ReportOptions {
  readonly flow: string;
  readonly host: string;
  readonly port: number;
  /** Within what time running backups may come to their end when a signal has come: `10m`. */
  readonly drain?: string;
}

/** Keeps a flow running until a signal comes; then cancels what runs, or lets it end, cleans up, and ends. */
export const serve: CommandBody<ServeInput> = async (input, context) => {
  const { output, signal, stopCode, env } = context;
  const plan = stopPlan(input.drain, env);
  const token = await apiToken(env);
  const began = performance.now();
  const report = createReport(input, output);
  const stopping = new Stopping(plan, report, context);
  const end = (exitCode: ExitCode): ExitCode => {
    report.ended({ exitCode, results: [], nodeErrors: [], elapsedMs: performance.now() - began });
    return exitCode;
  };
  const { host, port } = input;
  const session = await openSession({ ...input, http: { host, port, apiToken: token } }, report, env);
  if (typeof session === 'number') return end(session);
  stopping.session = session;
  if (session.runtime.url !== undefined) report.listening(session.runtime.url);
  if (!signal.aborted) await once(signal, 'abort');
  await session.close(abortError(signal).message, stopping.until());
  return end(stopCode() ?? EXIT.ok);
};
