import { systemClock } from '../../lib/clock.ts';
import { BackupError } from '../../lib/errors.ts';
import type { JobMemory, JobRecord } from '../../lib/runs/job-memory.ts';
import type { JobState } from '../../lib/runs/job-states.ts';
import type { CommandBody, CommandContext } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { formatTable, formatTime, printable } from '../format.ts';
import { askHistory, type HistoryOptions } from '../history.ts';

interface HistoryInput extends HistoryOptions {
  readonly json?: boolean;
}

export interface JobsInput extends HistoryInput {
  readonly state?: JobState;
}

export interface JobInput extends HistoryInput {
  /** Name of the job. */
  readonly job: string;
}

export interface ShowJobInput extends JobInput {
  /** How many of its errors. */
  readonly limit: number;
}

/** Lists the jobs that have run, and how they stand. */
export const listJobs: CommandBody<JobsInput> = async (input, { output, env }) => {
  const { state } = input;
  const query = state === undefined ? {} : { state };
  const jobs = (await askHistory(input, env, (store) => store.jobs.list(query))) ?? [];
  if (input.json) output.json({ jobs });
  else if (jobs.length > 0) output.print(jobsTable(jobs));
  else output.print(state === undefined ? 'No job has run' : `No job is ${state}`);
  return EXIT.ok;
};

/** Shows a job with the history of its errors. */
export const showJob: CommandBody<ShowJobInput> = async (input, { output, env }) => {
  const { job: name, limit } = input;
  const jobs = await askHistory(input, env, (store) => store.jobs.list({ job: name, errors: limit }));
  const [job] = jobs ?? [];
  if (job === undefined) throw unknownJob(name);
  if (input.json) output.json(job);
  else output.print(jobText(job));
  return EXIT.ok;
};

/** Puts a job back: its schedules begin it again. */
export const requeueJob: CommandBody<JobInput> = async (input, context) => {
  await change(input, context, (jobs) => jobs.requeue(input.job, new Date(systemClock.now())));
  if (input.json) context.output.json({ job: input.job, state: 'healthy', failures: 0 });
  else context.output.print(printable(`${input.job} is requeued: the next fire of its schedule begins it`));
  return EXIT.ok;
};

/** Forgets a job. */
export const discardJob: CommandBody<JobInput> = async (input, context) => {
  await change(input, context, (jobs) => jobs.discard(input.job));
  if (input.json) context.output.json({ job: input.job, discarded: true });
  else context.output.print(printable(`${input.job} is forgotten. It is listed again when it runs again`));
  return EXIT.ok;
};

async function change(
  input: JobInput,
  { env }: CommandContext,
  act: (jobs: JobMemory) => Promise<unknown>,
): Promise<void> {
  const done = await askHistory(input, env, async (store) => {
    await act(store.jobs);
    return true;
  });
  if (done === undefined) throw unknownJob(input.job);
}

function jobsTable(jobs: readonly JobRecord[]): string {
  const rows = jobs.map(({ job, state, failures, since, lastSuccessAt, errors }) => [
    job,
    state,
    String(failures),
    formatTime(since),
    lastSuccessAt === null ? 'never' : formatTime(lastSuccessAt),
    errors[0]?.message ?? '',
  ]);
  return formatTable(
    ['JOB', 'STATE', 'FAILURES', 'SINCE', 'LAST SUCCESS', 'LAST ERROR'],
    rows.map((row) => row.map(printable)),
  );
}

function jobText({ job, state, failures, since, lastRun, lastSuccessAt, errors }: JobRecord): string {
  const facts = [
    ['Job', job],
    ['State', `${state} since ${formatTime(since)}`],
    ['Failures', `${failures} in a row`],
    ['Last run', lastRun === null ? 'none' : `${lastRun.state}, ${formatTime(lastRun.finishedAt)}`],
    ['Last success', lastSuccessAt === null ? 'never' : formatTime(lastSuccessAt)],
  ];
  const [head = [], ...rest] = facts.map((row) => row.map(printable));
  const failed = errors.map(({ runId, at, message }) => [runId, formatTime(at), message].map(printable));
  const table = failed.length === 0 ? 'It has no errors' : formatTable(['RUN', 'FAILED', 'ERROR'], failed);
  return `${formatTable(head, rest)}\n\n${table}`;
}

function unknownJob(job: string): BackupError {
  return new BackupError(
    'not-found',
    `There is no job ${JSON.stringify(job)}: dbackup jobs lists those that have run`,
  );
}
