import type { JobFailure } from './jobs.ts';

interface DeadLetter {
  readonly job: string;
  /** ISO 8601 in UTC. */
  readonly since: string;
  readonly failures: number;
  readonly errors: readonly JobFailure[];
}

/** What people are told once, when a job becomes a dead letter. */
export function deadLetterText({ job, failures, errors }: Omit<DeadLetter, 'since'>): string {
  return `The job ${job} is dead-lettered: ${count(failures)} in a row${last(errors)}. No schedule begins it any more: ${wayBack(job)}`;
}

/** Why a run of a dead letter was not begun. */
export function leftOutText({ job, since, failures, errors }: DeadLetter): string {
  const time = `${since.slice(0, 16).replace('T', ' ')} UTC`;
  return `The job ${job} is dead-lettered since ${time}, after ${count(failures)}${last(errors)}. ${wayBack(job, 'R')}`;
}

function wayBack(job: string, r = 'r'): string {
  const name = /^[\w.-]+$/.test(job) ? job : JSON.stringify(job);
  return `${r}equeue it with "dbackup jobs requeue ${name}" or a dbackup-jobs node, or run it by hand: a success brings it back`;
}

function count(failures: number): string {
  return `${failures} ${failures === 1 ? 'failure' : 'failures'}`;
}

function last([newest]: readonly JobFailure[]): string {
  return newest === undefined ? '' : `, the last one: ${newest.message}`;
}
