import { ADMIN_ROOT, type AdminApi } from '../admin-routes.ts';
import { existingRuntime } from '../runtime.ts';
import { answerOperation } from './answer.ts';
import type { OperationName } from './operations.ts';

/** What Node-RED's admin server answers of health and metrics. None without its permission. */
export const OPERATION_ROUTES: readonly { readonly route: OperationName; readonly permission: string }[] = [
  { route: 'healthz', permission: 'dbackup.health.read' },
  { route: 'readyz', permission: 'dbackup.health.read' },
  { route: 'metrics', permission: 'dbackup.metrics.read' },
];

/** The part of `RED` that it takes; without the editor there is none. */
type OperationsApi = Pick<AdminApi, 'events' | 'httpAdmin' | 'auth'>;

const served = new WeakSet<object>();

/** Serves the routes. They are registered once, whichever node set comes first. */
export function serveOperations(RED: OperationsApi): void {
  const { httpAdmin, auth } = RED;
  if (httpAdmin?.get === undefined || auth === undefined || served.has(httpAdmin)) return;
  served.add(httpAdmin);
  for (const { route, permission } of OPERATION_ROUTES) {
    httpAdmin.get(`${ADMIN_ROOT}/${route}`, auth.needsPermission(permission), async (_request, response) => {
      const { status, contentType, body } = await answerOperation(
        route,
        existingRuntime(RED)?.operations,
        false,
      );
      response.status(status).set({ 'content-type': contentType, 'cache-control': 'no-store' }).send(body);
    });
  }
}
