import { joinPath } from '../../lib/backupset/names.ts';
import { BackupError } from '../../lib/errors.ts';
import { eventError } from '../../lib/events/run-event.ts';
import { policyOf } from '../../lib/retention/options.ts';
import { type PruneReport, type PruneRequest, prune } from '../../lib/retention/prune.ts';
import type { BackupMessage, Deliver, NodeContext } from '../define-node.ts';
import { holderOf } from '../destinations/pass-destination.ts';
import { requireStoredRecipe } from '../message-recipe.ts';
import { STORAGE } from '../services.ts';
import { formatBytes, formatTime } from '../status/quantities.ts';
import { retentionReport } from './retention-report.ts';
import type { RetentionSettings } from './retention-settings.ts';

type Context = NodeContext<RetentionSettings>;
type Place = Pick<PruneRequest, 'driver' | 'prefix' | 'job' | 'stored'>;

/** Prunes the storage of the message, or the one of the node's settings, and sends on what became of the sets. */
export async function runRetention(
  context: Context,
  message: BackupMessage,
  deliver: Deliver,
): Promise<void> {
  const { settings, runtime } = context;
  const place = placeOf(context, message);
  if (place === undefined) {
    context.status({ fill: 'grey', shape: 'ring', text: textOf(context, 'afterPartial') });
    deliver({ ...message, retention: { skipped: 'partial' } });
    return;
  }
  context.status({ fill: 'blue', shape: 'dot', text: textOf(context, 'reading') });
  const active = new Set((await (await runtime.store()).activeRuns()).map(({ id }) => id));
  const report = await prune({
    ...place,
    policy: policyOf(settings),
    remove: !settings.dryRun,
    clock: runtime.clock,
    isBusy: (runId) => active.has(runId) || runtime.engine.isWriting(runId),
    signal: runtime.closing,
    onProgress(done, total) {
      if (settings.dryRun) return;
      const text = textOf(context, 'removing', { done, total });
      context.progress({ fill: 'blue', shape: 'dot', text: `▶ ${text}` });
    },
  });
  const retention = retentionReport(report);
  const refusal = refusalOf(report);
  if (refusal !== undefined) {
    tell(context, report, refusal);
    // The Catch node that gets the error gets the report with it.
    Object.assign(message, { retention });
    throw refusal;
  }
  const { kept, removed, freedBytes } = retention;
  const values = { kept, removed, bytes: formatBytes(freedBytes) };
  const text = textOf(context, settings.dryRun ? 'wouldRemove' : 'removed', values);
  context.status({
    fill: 'green',
    shape: 'dot',
    text: `✓ ${formatTime(new Date(runtime.clock.now()))} · ${text}`,
  });
  deliver({ ...message, retention });
}

/** Undefined after a backup that lacks databases, unless that is allowed. */
function placeOf(context: Context, message: BackupMessage): Place | undefined {
  const { settings } = context;
  if (settings.from === 'storage') {
    const { storage, folder, job } = settings;
    return { driver: context.use(STORAGE, storage).driver(), prefix: folder, job };
  }
  const recipe = requireStoredRecipe(context, message);
  const { set, job } = recipe;
  if (set.status === 'partial' && !settings.afterPartial) return undefined;
  const { driver, prefix } = holderOf(context, recipe);
  return { driver, prefix, job, stored: joinPath(prefix, set.path) };
}

/** One error for all that kept sets from being removed. */
function refusalOf({ error, sets, job }: PruneReport): BackupError | undefined {
  if (error !== undefined) return error;
  const failed = sets.flatMap((set) => set.error ?? []);
  const [first] = failed;
  if (first === undefined) return undefined;
  const what = failed.length === 1 ? 'One set' : `${failed.length} sets`;
  return new BackupError(
    first.code,
    `${what} of the job ${job} could not be removed wholly: ${first.message}`,
    {
      transient: failed.every(({ transient }) => transient),
      cause: first,
    },
  );
}

function tell({ runtime }: Context, { job, storage, sets, error }: PruneReport, refusal: BackupError): void {
  const failed = sets.filter((set) => set.error !== undefined).map(({ path }) => path);
  runtime.happenings.tell({
    event: 'prune-refused',
    job,
    storage,
    error: eventError(refusal),
    summary: `Old backups of ${job} in ${storage} were not removed: ${refusal.message}`,
    ...(error === undefined ? { sets: failed } : {}),
  });
}

function textOf(
  { type, text }: Context,
  key: string,
  values?: Readonly<Record<string, string | number>>,
): string {
  return text(`${type}.status.${key}`, values);
}
