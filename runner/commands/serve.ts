import { once } from 'node:events';
import { abortError } from '../../lib/errors.ts';
import type { CommandBody } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import type { FlowOptions } from '../flow-input.ts';
import { openSession, type PaceOptions } from '../flow-session.ts';
import { createReport, type ReportOptions } from '../report/create-report.ts';

export interface ServeInput extends FlowOptions, PaceOptions, ReportOptions {
  readonly flow: string;
  readonly host: string;
  readonly port: number;
}

/** Keeps a flow running until a signal comes; then cancels what runs, cleans up, and ends. */
export const serve: CommandBody<ServeInput> = async (input, { output, signal, stopCode, env }) => {
  const began = performance.now();
  const report = createReport(input, output);
  const end = (exitCode: ExitCode): ExitCode => {
    report.ended({ exitCode, results: [], nodeErrors: [], elapsedMs: performance.now() - began });
    return exitCode;
  };
  const { host, port } = input;
  const session = await openSession({ ...input, http: { host, port } }, report, env);
  if (typeof session === 'number') return end(session);
  if (session.runtime.url !== undefined) report.listening(session.runtime.url);
  if (!signal.aborted) await once(signal, 'abort');
  await session.close(abortError(signal).message);
  return end(stopCode() ?? EXIT.ok);
};
