import type { NodeStatus } from 'node-red';
import { BackupError } from '../../lib/errors.ts';
import type { JobRecord } from '../../lib/runs/job-memory.ts';
import type { RunRecord } from '../../lib/store/history.ts';
import { type BackupMessage, type Deliver, defineNode, type NodeContext } from '../define-node.ts';
import { type JobQuestion, type JobSettings, jobSettings, questionOf } from './job-question.ts';

/** Tells how jobs stand and what runs there were; puts dead letters back, or forgets jobs. */
export const jobsNode = defineNode({
  type: 'dbackup-jobs',
  set: 'operations',
  role: 'operation',
  icon: 'dbackup-jobs.svg',
  inputs: 1,
  outputs: 1,
  schemaVersion: 1,
  schema: jobSettings,
  setup: (context) => ({ onInput: (message, deliver) => work(context, message, deliver) }),
});

async function work(
  context: NodeContext<JobSettings>,
  message: BackupMessage,
  deliver: Deliver,
): Promise<void> {
  const question = questionOf(context.settings, message);
  const payload = await answer(context, question);
  context.status(statusOf(context, question, payload));
  deliver({ ...message, payload });
}

/** Plain JSON: what was asked for, or the job as it stands now. */
async function answer(
  context: NodeContext<JobSettings>,
  question: JobQuestion,
): Promise<(JobRecord | RunRecord)[]> {
  const { jobs, store } = context.runtime;
  switch (question.operation) {
    case 'list':
      return jobs.list(defined({ job: question.job, state: question.state }));
    case 'runs': {
      const { job, state, limit } = question;
      return (await store()).runs(defined({ job, state, limit }));
    }
    case 'requeue': {
      const job = jobOf(context, question);
      await jobs.requeue(job);
      return jobs.list({ job });
    }
    case 'discard':
      await jobs.discard(jobOf(context, question));
      return [];
  }
}

/** @throws BackupError `invalid-config` */
function jobOf({ label }: NodeContext<JobSettings>, { job, operation }: JobQuestion): string {
  if (job !== undefined) return job;
  throw new BackupError(
    'invalid-config',
    `${label} does not know which job to ${operation}: name it in msg.job`,
  );
}

/** Without what is left open. */
function defined<Query extends object>(
  query: Query,
): { [Field in keyof Query]?: Exclude<Query[Field], undefined> } {
  const entries = Object.entries(query).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [Field in keyof Query]?: Exclude<Query[Field], undefined> };
}

function statusOf(
  { type, text }: NodeContext<JobSettings>,
  { operation, job = '' }: JobQuestion,
  answered: readonly (JobRecord | RunRecord)[],
): NodeStatus {
  const dead = answered.filter(({ state }) => state === 'dead-lettered').length;
  const told = text(`${type}.status.${operation}`, { job, count: answered.length, dead });
  return dead > 0
    ? { fill: 'red', shape: 'ring', text: `✗ ${told}` }
    : { fill: 'green', shape: 'dot', text: `✓ ${told}` };
}
