import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunRecord } from '../../lib/store/history.ts';
import { openStore, STORE_FILE } from '../../lib/store/store.ts';
import { formatBytes } from '../../nodes/status/quantities.ts';
import type { CommandBody } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { dataDirectory, type FlowOptions } from '../flow-input.ts';
import { formatDuration, formatTable, formatTime, printable } from '../format.ts';

export interface RunsInput extends Pick<FlowOptions, 'data' | 'userDir'> {
  readonly job?: string;
  readonly limit: number;
  readonly json?: boolean;
}

/** Lists the history. Runs that died with their process are marked as failed on the way. */
export const runs: CommandBody<RunsInput> = async (input, { output, env }) => {
  const records = await recordedRuns(dataDirectory(input, env), input);
  if (input.json) output.json({ runs: records });
  else output.print(records.length === 0 ? 'No runs are recorded' : runsTable(records));
  return EXIT.ok;
};

/** A question does not make a store. */
async function recordedRuns(dataDir: string, { job, limit }: RunsInput): Promise<RunRecord[]> {
  const exists = await stat(join(dataDir, STORE_FILE)).catch(() => undefined);
  if (exists === undefined) return [];
  const store = await openStore(dataDir);
  try {
    return await store.runs({ limit, ...(job === undefined ? {} : { job }) });
  } finally {
    await store.close();
  }
}

function runsTable(records: readonly RunRecord[]): string {
  const rows = records.map((run) => [
    run.id,
    run.job,
    run.state,
    formatTime(run.openedAt),
    elapsed(run),
    run.rawBytes === null ? '' : formatBytes(run.rawBytes),
    run.error?.message ?? failures(run),
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

function failures({ artifacts, destinations }: RunRecord): string {
  const failed = [
    ...artifacts.map(({ database, error }) => (error === null ? '' : `${database}: ${error.message}`)),
    ...destinations.map(({ label, error }) => (error === null ? '' : `${label}: ${error.message}`)),
  ];
  return failed.filter((text) => text !== '').join('; ');
}
