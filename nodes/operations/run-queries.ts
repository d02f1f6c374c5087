import { BackupError, toBackupError } from '../../lib/errors.ts';
import type { ProgressEvent } from '../../lib/events/run-event.ts';
import type { RunRecord } from '../../lib/store/history.ts';
import type { BackupRuntime } from '../runtime.ts';

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 500;

/** An answer over HTTP: plain JSON. */
export interface RunsAnswer {
  readonly status: 200 | 400 | 404 | 503;
  readonly body: object;
}

/** A run that has not ended. */
interface ShownActiveRun {
  readonly runId: string;
  readonly job: string;
  readonly state: string;
  /** Place in the queue, from 1, while it is queued. */
  readonly position?: number;
  readonly trigger?: string;
  readonly progress?: ProgressEvent;
}

/** The runs that go on, and the newest that the history knows. Never rejects. */
export async function answerRuns(
  runtime: BackupRuntime | undefined,
  query: Readonly<Record<string, unknown>>,
): Promise<RunsAnswer> {
  return answered(runtime, async (known) => {
    const { job, limit } = readQuery(query);
    const store = await known.store();
    const active = activeRuns(known).filter((run) => job === undefined || run.job === job);
    const recent = await store.runs({ limit, ...(job === undefined ? {} : { job }) });
    return { status: 200, body: { active, recent } };
  });
}

/** One run, as it goes on and as the history knows it. Never rejects. */
export async function answerRun(runtime: BackupRuntime | undefined, runId: string): Promise<RunsAnswer> {
  return answered(runtime, async (known) => {
    const [run] = await (await known.store()).runs({ id: runId, limit: 1 });
    const active = activeRuns(known).find((candidate) => candidate.runId === runId);
    if (run === undefined && active === undefined) {
      throw new BackupError('not-found', `There is no run ${runId.slice(0, 100)}`);
    }
    const body: { active?: ShownActiveRun; run?: RunRecord } = {
      ...(active === undefined ? {} : { active }),
      ...(run === undefined ? {} : { run }),
    };
    return { status: 200, body };
  });
}

async function answered(
  runtime: BackupRuntime | undefined,
  answer: (runtime: BackupRuntime) => Promise<RunsAnswer>,
): Promise<RunsAnswer> {
  try {
    if (runtime === undefined) throw new BackupError('unavailable', 'No backup node runs');
    return await answer(runtime);
  } catch (thrown) {
    const { code, message } = toBackupError(thrown);
    return { status: statusOf(code), body: { error: message } };
  }
}

function statusOf(code: BackupError['code']): RunsAnswer['status'] {
  if (code === 'not-found') return 404;
  return code === 'invalid-config' ? 400 : 503;
}

/** @throws BackupError `invalid-config` */
function readQuery({ job, limit }: Readonly<Record<string, unknown>>): { job?: string; limit: number } {
  if (job !== undefined && typeof job !== 'string') {
    throw new BackupError('invalid-config', 'job is given more than once');
  }
  const count = limit === undefined ? DEFAULT_LIMIT : Number(limit);
  if (!Number.isInteger(count) || count < 1 || count > MAX_LIMIT) {
    throw new BackupError('invalid-config', `limit is no whole number from 1 to ${MAX_LIMIT}`);
  }
  return { limit: count, ...(job === undefined ? {} : { job }) };
}

function activeRuns({ engine, telling }: BackupRuntime): ShownActiveRun[] {
  return engine.activeRuns().map(({ runId, job, state, place }) => {
    const trigger = telling.narrator.triggerOf(runId);
    const progress = telling.feed.progressOf(runId);
    return {
      runId,
      job,
      state,
      ...(place === undefined ? {} : { position: place.position }),
      ...(trigger === undefined ? {} : { trigger }),
      ...(progress === undefined ? {} : { progress }),
    };
  });
}
