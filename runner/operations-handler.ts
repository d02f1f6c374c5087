import type { IncomingMessage, ServerResponse } from 'node:http';
import { answerOperation } from '../nodes/operations/answer.ts';
import type { OperationName, Operations } from '../nodes/operations/operations.ts';

/** Paths that the runner answers itself; a flow's HTTP In nodes never see them. */
export const OPERATION_PATHS: ReadonlyMap<string, OperationName> = new Map([
  ['/healthz', 'healthz'],
  ['/readyz', 'readyz'],
  ['/metrics', 'metrics'],
]);

/** What the runner knows of its flow. */
export interface OperatedFlow {
  readonly started: boolean;
  /** Undefined while no backup node runs. */
  readonly operations: Operations | undefined;
}

/** Answers what is asked of health and metrics. False when it is another question. */
export function handleOperation(
  request: IncomingMessage,
  response: ServerResponse,
  { started, operations }: OperatedFlow,
): boolean {
  const [path = ''] = (request.url ?? '').split('?');
  const name = OPERATION_PATHS.get(path);
  if (name === undefined || (request.method !== 'GET' && request.method !== 'HEAD')) return false;
  void answerOperation(name, operations, !started).then(({ status, contentType, body }) => {
    response.writeHead(status, { 'content-type': contentType, 'cache-control': 'no-store' }).end(body);
  });
  return true;
}
