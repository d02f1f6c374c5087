import type { RunState } from '../../lib/runs/states.ts';
import type { RunRecord } from '../../lib/store/history.ts';
import { errorOf } from '../../lib/store/run-errors.ts';
import { formatBytes } from '../../nodes/status/quantities.ts';
import type { CommandBody } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import type { FlowOptions } from '../flow-input.ts';
import { formatDuration, formatTable, formatTime, printable } from '../format.ts';
import { askHistory } from '../recorded-history.ts';

export interface RunsInput extends Pick<FlowOptions, 'data' | 'userDir'> {
  readonly job?: string;
  readonly state?: RunState;
  readonly limit: number;
  readonly json?: boolean;
}

/** Lists the history. Runs that died with their process are marked as failed on the way. */
export const runs: CommandBody<RunsInput> = async (input, { output, env }) => {
  const { job, state, limit } = input;
  const query = { limit, ...(job === undefined ? {} : { job }), ...(state === undefined ? {} : { state }) };
  const records = (await askHistory(input, env, (store) => store.runs(query))) ?? [];
  if (input.json) output.json({ runs: records });
  else output.print(records.length === 0 ? 'No runs are recorded' : runsTable(records));
  return EXIT.ok;
};

function runsTable(records: readonly RunRecord[]): string {
  const rows = records.map((run) => [
    run.id,
    run.job,
    run.state,
    formatTime(run.openedAt),
    elapsed(run),
    run.rawBytes === null ? '' : formatBytes(run.rawBytes),
    errorOf(run)?.message ?? '',
  ]);
  const header = ['RUN', 'JOB', 'STATE', 'OPENED', 'TOOK', 'RAW', 'PROBLEM'];
  return formatTable(
    header,
    rows.map((row) => row.map(printable)),
  );
}

function elapsed({ openedAt, finishedAt }: RunRecord): string {
  return finishedAt === null ? '' : formatDuration(Date.parse(finishedAt) - Date.parse(openedAt));
}
