import { BackupError } from '../lib/errors.ts';
import { describeLeft, drainMs, drainSignal, type ShutdownPlan } from '../lib/runs/shutdown.ts';
import type { RunState } from '../lib/runs/states.ts';
import { shutdownPlan } from '../nodes/shutdown-settings.ts';
import type { CommandContext } from './command.ts';
import { parseDuration } from './duration.ts';
import type { FlowSession } from './flow-session.ts';
import { formatDuration } from './format.ts';
import type { RunReport } from './report/run-report.ts';

/**
 * What becomes of running backups when a signal comes.
 * @param drain within what time they may come to their end: `10m`; else the environment says
 * @throws BackupError `invalid-config`
 */
export function stopPlan(
  drain: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): ShutdownPlan {
  const plan = shutdownPlan({}, env, 'runner');
  return drain === undefined ? plan : { mode: 'drain', deadlineMs: parseDuration(drain) };
}

/** How a command that runs a flow ends when a signal comes. */
export class Stopping {
  /** Without a session nothing has begun. */
  session: FlowSession | undefined;
  readonly #plan: ShutdownPlan;
  readonly #report: RunReport;
  readonly #hurry = new AbortController();

  constructor(plan: ShutdownPlan, report: RunReport, { onStop }: Pick<CommandContext, 'onStop'>) {
    this.#plan = plan;
    this.#report = report;
    const began = performance.now();
    onStop({
      deadlineMs: plan.deadlineMs,
      ...(plan.mode === 'drain' ? { hurry: this.#hurry } : {}),
      tellLate: (exitCode) => {
        const left = this.session?.backup?.engine.activeRuns() ?? [];
        report.failed(new BackupError('stalled', describeLeft(left)));
        report.ended({ exitCode, results: [], nodeErrors: [], elapsedMs: performance.now() - began });
      },
    });
  }

  /** Until when running backups may come to their end, from now on; undefined when they may not. Tells it. */
  until(): AbortSignal | undefined {
    if (this.#plan.mode === 'abort') return undefined;
    const going = this.session?.backup?.engine.activeRuns().filter(({ state }) => isBegun(state)) ?? [];
    const count = going.length === 1 ? '1 run' : `${going.length} runs`;
    const time = formatDuration(drainMs(this.#plan));
    const message = `Stopping: ${count} may come to the end within ${time}; another signal cancels at once`;
    if (going.length > 0) this.#report.log({ level: 'info', message });
    return drainSignal(this.#plan, this.#hurry.signal);
  }

  /** A drain does not go on. */
  hurry(): void {
    this.#hurry.abort();
  }
}

function isBegun(state: RunState): boolean {
  return state === 'running' || state === 'verifying';
}
