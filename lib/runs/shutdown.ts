import { type Clock, systemClock } from '../clock.ts';
import type { ActiveRun } from '../engine/backup-engine.ts';

/** `abort` cancels what runs; `drain` lets it come to its end first, as far as there is time. */
export const SHUTDOWN_MODES = ['abort', 'drain'] as const;
export type ShutdownMode = (typeof SHUTDOWN_MODES)[number];

/** A week: more is a mistake. */
export const MAX_SHUTDOWN_SECONDS = 7 * 24 * 3600;

/** What becomes of running backups when the process is told to end. */
export interface ShutdownPlan {
  readonly mode: ShutdownMode;
  /** Everything is over by then, in ms: a drain leaves time of it for cleaning up. */
  readonly deadlineMs: number;
}

/** Time that a drain leaves for cancelling and cleaning up what did not come to its end, in ms. */
const CLEANING_MS = 20_000;

/** How long a plan lets runs go on, in ms. */
export function drainMs({ mode, deadlineMs }: ShutdownPlan): number {
  return mode === 'abort' ? 0 : deadlineMs - Math.min(CLEANING_MS, deadlineMs / 2);
}

/** Aborts when a drain has lasted as long as it may, or when it shall not go on. */
export function drainSignal(
  plan: ShutdownPlan,
  hurry: AbortSignal,
  clock: Pick<Clock, 'setTimer'> = systemClock,
): AbortSignal {
  const limit = new AbortController();
  const end = () => limit.abort();
  if (hurry.aborted) end();
  hurry.addEventListener('abort', end, { once: true });
  clock.setTimer(end, drainMs(plan));
  return limit.signal;
}

/** What a process leaves behind that ends before everything is cleaned up: a line for people. */
export function describeLeft(runs: readonly Pick<ActiveRun, 'runId' | 'job'>[]): string {
  const names = runs.map(({ runId, job }) => `run ${runId} of ${job}`).join(', ');
  const what = names === '' ? 'everything was cleaned up' : `${names} was cleaned up`;
  return `DBackup ends before ${what}: what is left in its storages is removed at a later start`;
}
