import { systemClock } from '../../lib/clock.ts';
import { BackupError } from '../../lib/errors.ts';
import { isActiveState, type RunState } from '../../lib/runs/states.ts';
import type { RecordedDestination, RunQuery, RunRecord } from '../../lib/store/history.ts';
import type { RunDetails } from '../../lib/store/run-details.ts';
import { errorOf } from '../../lib/store/run-errors.ts';
import type { RecordedVerification } from '../../lib/store/verifications.ts';
import { formatBytes } from '../../nodes/status/quantities.ts';
import type { CommandBody } from '../command.ts';
import { parseMoment } from '../duration.ts';
import { EXIT } from '../exit-codes.ts';
import { formatDuration, formatTable, formatTime, printable } from '../format.ts';
import { askHistory, type HistoryOptions } from '../history.ts';

export interface RunsInput extends HistoryOptions {
  /** Id of the one run that is meant. */
  readonly run?: string;
  readonly job?: string;
  /** Only runs in one of these states. */
  readonly state?: readonly RunState[];
  /** Only runs that were opened since: `7d`, `2026-01-31`. */
  readonly since?: string;
  readonly limit: number;
  readonly json?: boolean;
}

/** Lists the history, or shows one run of it. Runs that died with their process are marked as failed on the way. */
export const runs: CommandBody<RunsInput> = async (input, { output, env }) => {
  if (input.run !== undefined) {
    const { run: id } = input;
    const details = await askHistory(input, env, (store) => store.run(id));
    if (details === undefined) throw unknownRun(id);
    if (input.json) output.json(details);
    else output.print(runText(details));
    return EXIT.ok;
  }
  const query = queryOf(input);
  const records = (await askHistory(input, env, (store) => store.runs(query))) ?? [];
  if (input.json) output.json({ runs: records });
  else output.print(records.length === 0 ? 'No such runs are recorded' : runsTable(records));
  return EXIT.ok;
};

function queryOf({ job, state, since, limit }: RunsInput): RunQuery {
  return {
    limit,
    ...(job === undefined ? {} : { job }),
    ...(state === undefined ? {} : { states: state }),
    ...(since === undefined ? {} : { since: parseMoment(since, systemClock.now()).toISOString() }),
  };
}

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

function runText(run: RunDetails): string {
  const { host, pid, startedAt } = run.process;
  const rows: (readonly string[])[] = [
    ['Run', run.id],
    ['Job', run.job],
    ['State', run.state],
    ['Opened', formatTime(run.openedAt)],
    ...(run.startedAt === null ? [] : [['Began', formatTime(run.startedAt)]]),
    ...(run.finishedAt === null ? [] : [['Finished', `${formatTime(run.finishedAt)}, took ${elapsed(run)}`]]),
    ...(run.rawBytes === null ? [] : [['Raw', formatBytes(run.rawBytes)]]),
    ['Process', `pid ${pid} on ${host}, since ${formatTime(startedAt)}`],
    ...(run.stage === null || !isActiveState(run.state) ? [] : [['Doing', run.stage]]),
    ...(run.cancelReason === null ? [] : [['Cancelled', run.cancelReason]]),
    ...(run.error === null ? [] : [['FAILED', run.error.message]]),
    ...run.artifacts.map(({ database, error }) => ['Database', outcome(database, error?.message)]),
    ...run.destinations.map((destination) => ['Stored', destinationText(destination)]),
    ...run.verifications.map((verification) => ['Verified', verificationText(verification)]),
    ['Log', `dbackup logs ${run.id}`],
  ];
  const [head = [], ...rest] = rows.map((row) => row.map(printable));
  return formatTable(head, rest);
}

function destinationText({ label, set, error }: RecordedDestination): string {
  if (set === null) return outcome(label, error?.message ?? 'nothing was stored');
  const healed = set.healed ? ', copied from another destination' : '';
  const where = `${set.storage}/${set.path} (${set.status}, ${formatBytes(set.storedBytes)}${healed})`;
  return outcome(`${label}: ${where}`, error?.message);
}

function verificationText({ at, level, ok, storage, path, message }: RecordedVerification): string {
  const found = message === null ? '' : `: ${message}`;
  return `${ok ? 'good' : 'FAILED'} at ${formatTime(at)} (level ${level}, ${storage}/${path})${found}`;
}

function outcome(what: string, problem: string | undefined): string {
  return problem === undefined ? what : `${what}: FAILED: ${problem}`;
}

function elapsed({ openedAt, finishedAt }: RunRecord): string {
  return finishedAt === null ? '' : formatDuration(Date.parse(finishedAt) - Date.parse(openedAt));
}

function unknownRun(id: string): BackupError {
  return new BackupError(
    'not-found',
    `There is no run ${JSON.stringify(id)} in the history: dbackup runs lists them`,
  );
}
