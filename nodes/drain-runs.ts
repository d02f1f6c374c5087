import { orAbort, settled } from '../lib/abort.ts';
import type { BackupEngine } from '../lib/engine/backup-engine.ts';
import type { RunTracker } from './run-tracker-port.ts';

/** How long nodes of other people may take with what a run has sent on, in ms. */
const FAREWELL_MS = 3_000;

export interface DrainParts {
  readonly engine: BackupEngine;
  readonly tracker: RunTracker;
  /** Resolves when nodes were told of everything that has happened. */
  readonly told: () => Promise<void>;
}

/**
 * Lets running backups, copies, restores and verifications come to their end, and what is wired behind them, until the
 * signal aborts. New runs are refused from now on, and those that have not begun are cancelled. Never rejects.
 */
export async function drainRuns(
  { engine, tracker, told }: DrainParts,
  reason: string,
  until: AbortSignal,
): Promise<void> {
  tracker.countAll();
  do {
    await engine.drain(reason, until);
    await settled(orAbort(told(), until), FAREWELL_MS);
    await settled(orAbort(tracker.idle(), until), FAREWELL_MS);
  } while (!until.aborted && isAtWork({ engine, tracker }));
}

/** Nodes of ours say when they are done; one of other people may hold its message for ever. */
function isAtWork({ engine, tracker }: Pick<DrainParts, 'engine' | 'tracker'>): boolean {
  const held = tracker.activity();
  return engine.activeRuns().length > 0 || held.some(({ node }) => node.type.startsWith('dbackup-'));
}
