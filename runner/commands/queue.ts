import type { RecordedActiveRun } from '../../lib/store/active-runs.ts';
import type { CommandBody } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { formatDuration, formatTable, formatTime, printable } from '../format.ts';
import { type HistoryOptions, openHistory } from '../history.ts';

export interface QueueInput extends HistoryOptions {
  readonly json?: boolean;
}

/** Lists the runs that wait and go on, of all processes that share the history. */
export const queue: CommandBody<QueueInput> = async (input, { output, env }) => {
  const runs = await activeRuns(input, env);
  if (input.json) output.json({ runs });
  else output.print(runs.length === 0 ? 'No run waits or goes on' : queueTable(runs));
  return EXIT.ok;
};

async function activeRuns(
  input: QueueInput,
  env: Readonly<Record<string, string | undefined>>,
): Promise<RecordedActiveRun[]> {
  const store = await openHistory(input, env);
  if (store === undefined) return [];
  try {
    return await store.activeRuns();
  } finally {
    await store.close();
  }
}

function queueTable(runs: readonly RecordedActiveRun[]): string {
  const rows = runs.map(({ id, job, state, openedAt, stage, cancelReason, host, pid }) => [
    id,
    job,
    cancelReason === null ? state : `${state}, being cancelled`,
    formatTime(openedAt),
    formatDuration(Math.max(0, Date.now() - Date.parse(openedAt))),
    stage ?? '',
    `${pid} on ${host}`,
  ]);
  const header = ['RUN', 'JOB', 'STATE', 'OPENED', 'SINCE', 'DOES', 'PROCESS'];
  return formatTable(
    header,
    rows.map((row) => row.map(printable)),
  );
}
