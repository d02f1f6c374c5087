import { z } from 'zod';
import { BackupError } from '../../lib/errors.ts';
import { JOB_STATES } from '../../lib/runs/job-states.ts';
import { RUN_STATES } from '../../lib/runs/states.ts';
import type { BackupMessage } from '../define-node.ts';
import { nodeName } from '../forms/common-fields.ts';

/** Runs that are listed unless more are asked for, and at most. */
const LIMIT = 20;
const MOST = 500;

const job = z
  .string()
  .trim()
  .max(100)
  .default('')
  .meta({ icon: 'fa-archive', placeholder: 'shop', pattern: String.raw`^[^/\\]*$` });
const limit = z.number().int().min(1).max(MOST).default(LIMIT);
const first = { name: nodeName };

/** What the node does with a message. */
export const jobSettings = z.discriminatedUnion('operation', [
  z.object({
    ...first,
    operation: z.literal('list').meta({ icon: 'fa-tasks' }),
    job,
    state: z
      .enum(['any', ...JOB_STATES])
      .default('any')
      .meta({ icon: 'fa-heartbeat' }),
  }),
  z.object({ ...first, operation: z.literal('requeue'), job }),
  z.object({ ...first, operation: z.literal('discard'), job }),
  z.object({
    ...first,
    operation: z.literal('runs'),
    job,
    runState: z
      .enum(['any', ...RUN_STATES])
      .default('any')
      .meta({ icon: 'fa-flag-o' }),
    limit: limit.meta({ icon: 'fa-sort-numeric-desc' }),
  }),
  z.object({ ...first, operation: z.literal('message') }),
]);

export type JobSettings = z.output<typeof jobSettings>;

const optionalJob = z.string().trim().min(1).max(100).optional();
const question = z.discriminatedUnion('operation', [
  z.object({ operation: z.literal('list'), job: optionalJob, state: z.enum(JOB_STATES).optional() }),
  z.object({ operation: z.literal('requeue'), job: optionalJob }),
  z.object({ operation: z.literal('discard'), job: optionalJob }),
  z.object({
    operation: z.literal('runs'),
    job: optionalJob,
    state: z.enum(RUN_STATES).optional(),
    limit: limit.optional(),
  }),
]);

/** What is asked for, or is to be done. */
export type JobQuestion = z.output<typeof question>;

/**
 * What a message asks of the node: the settings say what is to be done, and `msg.job` which job where they leave that
 * open; or `msg.topic` says all of it, with `msg.job`, `msg.state` and `msg.limit`.
 * @throws BackupError `invalid-config` when it is nothing that the node does
 */
export function questionOf(settings: JobSettings, message: BackupMessage): JobQuestion {
  const parsed = question.safeParse(askedBy(settings, message));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const [field = 'operation'] = issue?.path ?? [];
  const name = field === 'operation' ? 'msg.topic' : `msg.${String(field)}`;
  const hint = field === 'operation' ? ': send list, runs, requeue or discard' : ` (${issue?.message})`;
  throw new BackupError('invalid-config', `${name} is nothing that this node can work with${hint}`);
}

function askedBy(settings: JobSettings, message: BackupMessage): object {
  if (settings.operation === 'message') {
    const { topic, job: named, state, limit: count } = message;
    return { operation: topic, job: named, state, limit: count };
  }
  const { operation, job: set } = settings;
  const named = { operation, job: set === '' ? message.job : set };
  switch (settings.operation) {
    case 'list':
      return { ...named, ...(settings.state === 'any' ? {} : { state: settings.state }) };
    case 'runs': {
      const { runState, limit: count } = settings;
      return { ...named, limit: count, ...(runState === 'any' ? {} : { state: runState }) };
    }
    default:
      return named;
  }
}
