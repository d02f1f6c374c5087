import { hostname } from 'node:os';
import { z } from 'zod';
import { BackupError, toBackupError } from '../../lib/errors.ts';
import { isActiveState } from '../../lib/runs/states.ts';
import type { RecordedActiveRun } from '../../lib/store/active-runs.ts';
import { ADMIN_ROOT, type AdminApi } from '../admin-routes.ts';
import { type BackupRuntime, existingRuntime } from '../runtime.ts';

/** What Node-RED's admin server answers of runs that wait and go on. None without its permission. */
export const QUEUE_ROUTES = [
  { method: 'get', route: 'queue', permission: 'dbackup.runs.read' },
  { method: 'post', route: 'runs/cancel', permission: 'dbackup.runs.write' },
] as const;

/** The part of `RED` that it takes; without the editor there is none. */
type QueueApi = Pick<AdminApi, 'events' | 'httpAdmin' | 'auth'>;

const cancelRequest = z.strictObject({
  /** Id of the run. */
  run: z.string().min(1).max(200),
  reason: z.string().trim().min(1).max(500).optional(),
});

const served = new WeakSet<object>();

/** Serves the routes. They are registered once, whichever node set comes first. */
export function serveQueue(RED: QueueApi): void {
  const { httpAdmin, auth } = RED;
  if (httpAdmin?.get === undefined || auth === undefined || served.has(httpAdmin)) return;
  served.add(httpAdmin);
  const [queue, cancel] = QUEUE_ROUTES;
  httpAdmin.get(
    `${ADMIN_ROOT}/${queue.route}`,
    auth.needsPermission(queue.permission),
    async (_request, response) => {
      const { status, body } = await answered(() => queueOf(existingRuntime(RED)));
      response.status(status).set({ 'cache-control': 'no-store' }).json(body);
    },
  );
  httpAdmin.post(
    `${ADMIN_ROOT}/${cancel.route}`,
    auth.needsPermission(cancel.permission),
    async (request, response) => {
      const { status, body } = await answered(() => cancelIn(existingRuntime(RED), request.body));
      response.status(status).json(body);
    },
  );
}

/** A run that waits or goes on, of any process that shares the history. */
export interface QueueEntry extends RecordedActiveRun {
  /** Where it stands among those of this process that wait, from 1. */
  readonly position?: number;
  /** How many of this process wait. */
  readonly count?: number;
  /** The database server that it waits for. */
  readonly server?: string;
}

async function queueOf(runtime: BackupRuntime | undefined) {
  if (runtime === undefined) return { runs: [] };
  const own = new Map(runtime.engine.activeRuns().map(({ runId, place }) => [runId, place]));
  const recorded = await (await runtime.store()).activeRuns();
  const runs = recorded.map((run): QueueEntry => {
    const place = own.get(run.id);
    if (place === undefined) return run;
    const { position, count, server } = place;
    return { ...run, position, count, ...(server === undefined ? {} : { server }) };
  });
  return { limits: runtime.limits, runs };
}

/** A run of this process is ended at once, one of another process within seconds. */
async function cancelIn(runtime: BackupRuntime | undefined, asked: unknown) {
  const { success, data } = cancelRequest.safeParse(asked);
  if (!success) {
    throw new BackupError('invalid-config', 'Send {"run": "<id>"}, and a "reason" if you like');
  }
  const { run, reason = `somebody asked for it at the admin server of ${hostname()}` } = data;
  if (runtime === undefined) throw unknownRun(run);
  if (runtime.engine.cancel(run, reason)) return { run, cancelling: true };
  const state = await (await runtime.store()).cancellations.request(run, reason);
  if (state === undefined) throw unknownRun(run);
  if (isActiveState(state)) return { run, cancelling: true };
  throw new BackupError('already-exists', `Run ${run} has ended already: it is ${state}`);
}

function unknownRun(run: string): BackupError {
  return new BackupError('not-found', `The history knows no run ${run}`);
}

const STATUS = { 'invalid-config': 400, 'not-found': 404, 'already-exists': 409 } as const;

async function answered(work: () => Promise<object>): Promise<{ status: number; body: object }> {
  try {
    return { status: 200, body: await work() };
  } catch (thrown) {
    const { code, message } = toBackupError(thrown);
    const status = Object.hasOwn(STATUS, code) ? STATUS[code as keyof typeof STATUS] : 503;
    return { status, body: { error: message } };
  }
}
