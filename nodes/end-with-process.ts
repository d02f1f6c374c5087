import type { NodeAPI } from 'node-red';
import type { BackupEngine } from '../lib/engine/backup-engine.ts';
import { toBackupError } from '../lib/errors.ts';
import { describeLeft, drainSignal, type ShutdownPlan } from '../lib/runs/shutdown.ts';
import { whenProcessEnds } from './process-end.ts';
import type { BackupRuntime } from './runtime-port.ts';

/** Ends with the process of Node-RED; a second request ends a drain. Returns how to stop listening. */
export function endWithProcess(
  plan: ShutdownPlan,
  engine: BackupEngine,
  shutdown: BackupRuntime['shutdown'],
  log: NodeAPI['log'],
): () => void {
  const hurry = new AbortController();
  let asked = false;
  return whenProcessEnds(() => {
    if (asked) return hurry.abort();
    asked = true;
    const reason = 'Node-RED ends';
    const late = setTimeout(
      () => log.warn(`[dbackup] ${describeLeft(engine.activeRuns())}`),
      plan.deadlineMs,
    );
    const until = plan.mode === 'drain' ? drainSignal(plan, hurry.signal) : undefined;
    shutdown(reason, until)
      .catch((error: unknown) => log.error(`[dbackup] ${toBackupError(error).message}`))
      .finally(() => clearTimeout(late));
  });
}
