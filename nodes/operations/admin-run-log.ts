import { z } from 'zod';
import { toBackupError } from '../../lib/errors.ts';
import { LOG_LEVELS } from '../../lib/logs/log-line.ts';
import { MAX_LOG_PAGE } from '../../lib/store/logs.ts';
import { ADMIN_ROOT, type AdminApi } from '../admin-routes.ts';
import { type BackupRuntime, existingRuntime } from '../runtime.ts';

/** What Node-RED's admin server answers of the log of a run. None without its permission. */
export const RUN_LOG_ROUTE = { route: 'runs/:id/logs', permission: 'dbackup.runs.read' } as const;

/** The part of `RED` that it takes; without the editor there is none. */
type RunLogApi = Pick<AdminApi, 'events' | 'httpAdmin' | 'auth'>;

const wholeNumber = z.coerce.number().int().min(0);
const question = z.strictObject({
  /** The least level. */
  level: z.enum(LOG_LEVELS).optional(),
  /** Only lines after the one with this number. */
  after: wholeNumber.optional(),
  limit: wholeNumber.min(1).max(MAX_LOG_PAGE).optional(),
});

interface Answer {
  readonly status: 200 | 400 | 404 | 503;
  readonly body: object;
}

const served = new WeakSet<object>();

/** Serves the route. It is registered once, whichever node set comes first. */
export function serveRunLog(RED: RunLogApi): void {
  const { httpAdmin, auth } = RED;
  if (httpAdmin?.get === undefined || auth === undefined || served.has(httpAdmin)) return;
  served.add(httpAdmin);
  const { route, permission } = RUN_LOG_ROUTE;
  httpAdmin.get(`${ADMIN_ROOT}/${route}`, auth.needsPermission(permission), async (request, response) => {
    const { status, body } = await answer(existingRuntime(RED), String(request.params.id), request.query);
    response.status(status).set('cache-control', 'no-store').json(body);
  });
}

/** Never rejects. */
async function answer(runtime: BackupRuntime | undefined, run: string, query: unknown): Promise<Answer> {
  const asked = question.safeParse(query);
  if (!asked.success) {
    const limits = `level (${LOG_LEVELS.join(', ')}), after (a line's number), limit (1 to ${MAX_LOG_PAGE})`;
    return { status: 400, body: { error: `Not a question that this route answers: it takes ${limits}` } };
  }
  try {
    const page = await (await runtime?.store())?.log(run, asked.data);
    if (page !== undefined) return { status: 200, body: page };
    const error = runtime === undefined ? 'No backup node runs' : 'The history does not know this run';
    return { status: runtime === undefined ? 503 : 404, body: { error } };
  } catch (thrown) {
    return { status: 503, body: { error: toBackupError(thrown).message } };
  }
}
