import { orAbort, settled } from '../../lib/abort.ts';
import { BackupError, throwIfAborted, toBackupError } from '../../lib/errors.ts';
import type { FlowNode } from '../../lib/plan/flow-file.ts';
import { chooseTrigger, flowTriggers, withoutSchedules } from '../../lib/plan/flow-triggers.ts';
import type { RunResult } from '../../lib/runs/outcome.ts';
import { backupNodeTypes } from '../../nodes/schemas.ts';
import type { CommandBody, CommandContext } from '../command.ts';
import { parseDuration } from '../duration.ts';
import type { ExitCode } from '../exit-codes.ts';
import type { FlowInput, FlowOptions } from '../flow-input.ts';
import { type FlowSession, openSession, type PaceOptions } from '../flow-session.ts';
import type { NodeError } from '../node-reports.ts';
import { createReport, type ReportOptions } from '../report/create-report.ts';
import type { RunReport } from '../report/run-report.ts';
import { exitCodeOfRun } from '../run-outcome.ts';
import { Stopping, stopPlan } from '../stopping.ts';

/** How long the end waits for storages to be swept of what earlier runs have left, in ms. */
const SWEEP_PATIENCE_MS = 60_000;

export interface RunInput extends FlowOptions, PaceOptions, ReportOptions {
  readonly flow: string;
  /** Id or name of the inject or schedule node that starts the backup. */
  readonly trigger?: string;
  /** Longest time for all of it: `6h`. */
  readonly deadline?: string;
}

interface Attempt {
  readonly exitCode: ExitCode;
  readonly results: readonly RunResult[];
  readonly nodeErrors: readonly NodeError[];
}

/** Runs a flow once: fires its inject or schedule node and waits until everything that follows has ended. */
export const run: CommandBody<RunInput> = async (input, context) => {
  const began = performance.now();
  const report = createReport(input, context.output);
  const attempt = await runOnce(input, report, context);
  const exitCode = context.stopCode() ?? attempt.exitCode;
  report.ended({ ...attempt, exitCode, elapsedMs: performance.now() - began });
  return exitCode;
};

async function runOnce(input: RunInput, report: RunReport, context: CommandContext): Promise<Attempt> {
  const limit = deadlineSignal(input.deadline);
  const stopping = new Stopping(stopPlan(undefined, context.env), report, context);
  limit.addEventListener('abort', () => stopping.hurry());
  let trigger: FlowNode | undefined;
  const prepare = ({ nodes }: FlowInput) => {
    const triggers = flowTriggers(nodes, backupNodeTypes);
    trigger = chooseTrigger(triggers, input.trigger);
    return withoutSchedules(nodes, triggers);
  };
  const session = await openSession({ ...input, once: true, prepare }, report, context.env);
  if (typeof session === 'number') return { exitCode: session, results: [], nodeErrors: [] };
  stopping.session = session;
  const results: RunResult[] = [];
  session.backup?.engine.events.on('finished', (result) => results.push(result));
  const signal = AbortSignal.any([context.signal, limit]);
  const stopped = await runToEnd(session, trigger, signal, () =>
    limit.aborted ? undefined : stopping.until(),
  );
  const nodeErrors = session.reports.errors();
  const { tasks } = session.reports;
  if (stopped !== undefined) report.failed(stopped);
  else if (results.length + tasks + nodeErrors.length === 0) report.failed(nothingRan());
  const states = results.map(({ state }) => state);
  const deadlinePassed = stopped !== undefined && limit.aborted;
  const exitCode = exitCodeOfRun({ states, tasks, nodeErrors: nodeErrors.length, deadlinePassed });
  return { exitCode, results, nodeErrors };
}

/**
 * @param until tells how long runs may go on that a signal finds
 * @returns why it was stopped, when it was
 */
async function runToEnd(
  session: FlowSession,
  trigger: FlowNode | undefined,
  signal: AbortSignal,
  until: () => AbortSignal | undefined,
): Promise<BackupError | undefined> {
  try {
    throwIfAborted(signal);
    if (trigger !== undefined) fire(session, trigger);
    await orAbort(flowIdle(session), signal);
    await sweepEnd(session, signal);
    await session.close('The flow has ended');
    return undefined;
  } catch (thrown) {
    const error = toBackupError(thrown);
    await session.close(error.message, signal.aborted ? until() : undefined);
    return error;
  }
}

/** An inject node fires whatever the message is, a schedule when it is told to. */
function fire({ runtime }: FlowSession, { id, type }: FlowNode): void {
  runtime.fire(id, type === 'inject' ? {} : { command: 'fire' });
}

/** Resolves when no message is under way and no run is active: a run's end sends messages on. */
async function flowIdle({ runtime, backup }: FlowSession): Promise<void> {
  do {
    await runtime.tracker.idle();
    await backup?.engine.idle();
    await backup?.telling.idle();
    await runtime.tracker.idle();
  } while ((backup?.engine.activeRuns().length ?? 0) > 0);
}

/** The backup is done; what it would take long to look through is left for another day. */
async function sweepEnd({ backup }: FlowSession, signal: AbortSignal): Promise<void> {
  if (backup !== undefined) await settled(orAbort(backup.startupSweep.idle(), signal), SWEEP_PATIENCE_MS);
}

/** A signal that aborts when the time is over; one that never does without a time. */
function deadlineSignal(time: string | undefined): AbortSignal {
  const controller = new AbortController();
  if (time !== undefined) {
    const reason = new BackupError('aborted', `The deadline of ${time} has passed`);
    setTimeout(() => controller.abort(reason), parseDuration(time)).unref();
  }
  return controller.signal;
}

function nothingRan(): BackupError {
  return new BackupError(
    'incomplete',
    'No backup ran: the message of the node that was fired came to no source, restore or verify node. Look for a node on the way that drops it',
  );
}
