import { z } from 'zod';
import { BackupError, type ErrorCode, toBackupError } from '../../lib/errors.ts';
import type { JobBook } from '../../lib/runs/job-book.ts';
import type { JobRecord } from '../../lib/runs/job-memory.ts';
import { JOB_STATES } from '../../lib/runs/job-states.ts';
import { ADMIN_ROOT, type AdminApi } from '../admin-routes.ts';
import { existingRuntime } from '../runtime.ts';

/** Errors of each job that are told at most. */
const MOST_ERRORS = 100;

const query = z.strictObject({
  job: z.string().max(100).exactOptional(),
  state: z.enum(JOB_STATES).exactOptional(),
  errors: z.coerce.number().int().min(0).max(MOST_ERRORS).exactOptional(),
});
const named = z.strictObject({ job: z.string().min(1).max(100) });

interface JobRoute {
  readonly method: 'get' | 'post';
  readonly route: string;
  readonly permission: string;
  /** @throws BackupError, and ZodError for a wrong question */
  answer(jobs: JobBook, asked: unknown): Promise<JobRecord[]>;
}

/** What Node-RED's admin server answers of jobs. None without its permission. */
export const JOB_ROUTES: readonly JobRoute[] = [
  {
    method: 'get',
    route: 'jobs',
    permission: 'dbackup.jobs.read',
    answer: (jobs, asked) => jobs.list(query.parse(asked)),
  },
  {
    method: 'post',
    route: 'jobs/requeue',
    permission: 'dbackup.jobs.write',
    async answer(jobs, asked) {
      const { job } = named.parse(asked);
      await jobs.requeue(job);
      return jobs.list({ job });
    },
  },
  {
    method: 'post',
    route: 'jobs/discard',
    permission: 'dbackup.jobs.write',
    async answer(jobs, asked) {
      await jobs.discard(named.parse(asked).job);
      return [];
    },
  },
];

/** The part of `RED` that it takes; without the editor there is none. */
type JobsApi = Pick<AdminApi, 'events' | 'httpAdmin' | 'auth'>;

const served = new WeakSet<object>();

/** Serves the routes. They are registered once, whichever node set comes first. */
export function serveJobs(RED: JobsApi): void {
  const { httpAdmin, auth } = RED;
  if (httpAdmin?.get === undefined || auth === undefined || served.has(httpAdmin)) return;
  served.add(httpAdmin);
  for (const { method, route, permission, answer } of JOB_ROUTES) {
    httpAdmin[method]?.(
      `${ADMIN_ROOT}/${route}`,
      auth.needsPermission(permission),
      async (request, response) => {
        response.set({ 'cache-control': 'no-store' });
        try {
          const asked: unknown = method === 'get' ? request.query : request.body;
          response.json({ jobs: await answer(jobsOf(RED), asked) });
        } catch (thrown) {
          const { status, error } = refusal(thrown);
          response.status(status).json({ error });
        }
      },
    );
  }
}

/** @throws BackupError `unavailable` */
function jobsOf(RED: JobsApi): JobBook {
  const jobs = existingRuntime(RED)?.jobs;
  if (jobs === undefined) throw new BackupError('unavailable', 'No backup node runs');
  return jobs;
}

const STATUS: Partial<Readonly<Record<ErrorCode, number>>> = { 'not-found': 404 };

function refusal(thrown: unknown): { readonly status: number; readonly error: string } {
  if (thrown instanceof z.ZodError) {
    const problem = z.prettifyError(thrown).replaceAll('\n', ' ');
    return { status: 400, error: `Not a question that this route answers: ${problem}` };
  }
  const { code, message } = toBackupError(thrown);
  return { status: STATUS[code] ?? 503, error: message };
}
