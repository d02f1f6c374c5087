import { ADMIN_ROOT, type AdminApi } from '../admin-routes.ts';
import { existingRuntime } from '../runtime.ts';
import { answerRun, answerRuns, type RunsAnswer } from './run-queries.ts';

/** What Node-RED's admin server answers of runs, with the permission that it takes. */
export const RUN_ROUTES = ['runs/events', 'runs', 'runs/:id'] as const;
export const RUNS_PERMISSION = 'dbackup.runs.read';

/** The part of `RED` that it takes; without the editor there is none. */
type RunsApi = Pick<AdminApi, 'events' | 'httpAdmin' | 'auth'>;

const served = new WeakSet<object>();

/** Serves the routes. They are registered once, whichever node set comes first. */
export function serveRuns(RED: RunsApi): void {
  const { httpAdmin, auth } = RED;
  if (httpAdmin?.get === undefined || auth === undefined || served.has(httpAdmin)) return;
  served.add(httpAdmin);
  const allowed = auth.needsPermission(RUNS_PERMISSION);
  const pathOf = (route: (typeof RUN_ROUTES)[number]) => `${ADMIN_ROOT}/${route}`;
  httpAdmin.get(pathOf('runs/events'), allowed, (request, response) => {
    const streams = existingRuntime(RED)?.telling.streams;
    if (streams === undefined) response.status(503).json({ error: 'No backup node runs' });
    else streams.serve(request, response);
  });
  httpAdmin.get(pathOf('runs'), allowed, async (request, response) => {
    answer(response, await answerRuns(existingRuntime(RED), request.query));
  });
  httpAdmin.get(pathOf('runs/:id'), allowed, async (request, response) => {
    answer(response, await answerRun(existingRuntime(RED), String(request.params.id)));
  });
}

interface JsonResponse {
  status(code: number): JsonResponse;
  set(headers: Readonly<Record<string, string>>): JsonResponse;
  json(body: object): unknown;
}

function answer(response: JsonResponse, { status, body }: RunsAnswer): void {
  response.status(status).set({ 'cache-control': 'no-store' }).json(body);
}
