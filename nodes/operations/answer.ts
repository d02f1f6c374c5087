import { toBackupError } from '../../lib/errors.ts';
import type { HealthReport } from '../../lib/health/check.ts';
import type { OperationName, Operations } from './operations.ts';

/** An answer over HTTP. */
export interface OperationAnswer {
  readonly status: 200 | 503;
  readonly contentType: string;
  readonly body: string;
}

/**
 * Answers a question about health or metrics. Never rejects.
 * @param operations undefined while no backup node runs
 * @param starting whether that is so because the flow has not started yet, or ends
 */
export async function answerOperation(
  name: OperationName,
  operations: Operations | undefined,
  starting: boolean,
): Promise<OperationAnswer> {
  try {
    switch (name) {
      case 'healthz':
        return json(200, { state: 'ok', uptimeSeconds: Math.floor(process.uptime()) });
      case 'readyz':
        return readiness((await operations?.ready()) ?? withoutNodes(starting));
      case 'metrics':
        return await metrics(operations);
    }
  } catch (thrown) {
    return text(503, toBackupError(thrown).message);
  }
}

async function metrics(operations: Operations | undefined): Promise<OperationAnswer> {
  if (operations === undefined) return text(503, 'No backup node runs');
  const { contentType, text: body } = await operations.metrics();
  return { status: 200, contentType, body };
}

function withoutNodes(starting: boolean): HealthReport {
  const state = starting ? 'fail' : 'ok';
  const message = starting ? 'The flow is starting or ending' : 'There is no backup node';
  const since = new Date(Date.now() - process.uptime() * 1000).toISOString();
  return { state, checks: [{ name: 'flows', state, message, since }] };
}

function readiness(report: HealthReport): OperationAnswer {
  return json(report.state === 'fail' ? 503 : 200, report);
}

function json(status: 200 | 503, value: object): OperationAnswer {
  return { status, contentType: 'application/json; charset=utf-8', body: `${JSON.stringify(value)}\n` };
}

function text(status: 200 | 503, line: string): OperationAnswer {
  return { status, contentType: 'text/plain; charset=utf-8', body: `${line}\n` };
}
