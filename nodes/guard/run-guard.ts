import { type GuardedJob, type GuardReport, guardBackup } from '../../lib/anomalies/guard.ts';
import { joinPath } from '../../lib/backupset/names.ts';
import { openBackupSet } from '../../lib/backupset/reader.ts';
import { BackupError, toBackupError } from '../../lib/errors.ts';
import type { BackupEvent } from '../../lib/events/run-event.ts';
import { oneLine } from '../../lib/events/summaries.ts';
import { logText } from '../../lib/logs/log-text.ts';
import type { BackupMessage, Deliver, NodeContext } from '../define-node.ts';
import { holderOf } from '../destinations/pass-destination.ts';
import { requireStoredRecipe } from '../message-recipe.ts';
import { STORAGE } from '../services.ts';
import { formatTime } from '../status/quantities.ts';
import type { GuardSettings } from './guard-settings.ts';

type Context = NodeContext<GuardSettings>;

const LOOKS = {
  fine: { fill: 'green', shape: 'dot', sign: '✓ ' },
  unknown: { fill: 'grey', shape: 'dot', sign: '✓ ' },
  suspicious: { fill: 'yellow', shape: 'dot', sign: '⚠ ' },
} as const;

/** Judges the backup of the message, or the newest one of a storage, and sends suspicious ones to the second output. */
export async function runGuard(context: Context, message: BackupMessage, deliver: Deliver): Promise<void> {
  const { settings, runtime } = context;
  const signal = runtime.closing;
  context.status({ fill: 'blue', shape: 'dot', text: textOf(context, 'reading') });
  const report = await guardBackup({
    ...(await jobOf(context, message, signal)),
    guard: context.id,
    limits: { maxAgeHours: 0, ...settings },
    clock: runtime.clock,
    signal,
    onUnreadable: ({ message: problem }) => context.warn(`This set is left out: ${problem}`),
  });
  const { anomaly, runId, unmarked } = report;
  await writeLog(context, report);
  const event = anomaly.verdict === 'suspicious' ? tell(context, report) : undefined;
  showVerdict(context, report);
  const set = anomaly.set === undefined ? '' : ` ${anomaly.set}`;
  if (unmarked !== undefined) {
    // Retention behind this node would take the set for a good one. The Catch node gets the verdict with the error.
    Object.assign(message, { anomaly });
    throw new BackupError(
      unmarked.code,
      `The set${set} of ${anomaly.job} (run ${runId}) is suspicious, and that could not be noted beside it: ${unmarked.message}`,
      { transient: unmarked.transient, cause: unmarked },
    );
  }
  if (event === undefined) deliver({ ...message, anomaly });
  else deliver({ ...message, anomaly, payload: { ...event } }, 2);
}

/** @throws BackupError `invalid-config` when the message stands for no stored set */
async function jobOf(context: Context, message: BackupMessage, signal: AbortSignal): Promise<GuardedJob> {
  const { settings } = context;
  if (settings.from === 'storage') {
    const { storage, folder, job } = settings;
    return { driver: context.use(STORAGE, storage).driver(), prefix: folder, job };
  }
  const recipe = requireStoredRecipe(context, message);
  const { set, job } = recipe;
  const { driver, prefix } = holderOf(context, recipe);
  return { driver, prefix, job, set: await openBackupSet(driver, joinPath(prefix, set.path), signal) };
}

function tell({ runtime }: Context, { anomaly, runId, summary }: GuardReport): BackupEvent {
  const { job, storage, set, findings } = anomaly;
  return runtime.happenings.tell({
    event: 'anomaly',
    job,
    ...(runId === undefined ? {} : { runId }),
    storage,
    ...(set === undefined ? {} : { path: set }),
    findings: findings.map((finding) => ({ ...finding, message: oneLine(finding.message) })),
    summary: oneLine(summary),
  });
}

/** The log of the run that made the set, where this installation knows it. */
async function writeLog(
  { id, runtime, warn }: Context,
  { anomaly, runId, summary }: GuardReport,
): Promise<void> {
  if (runId === undefined) return;
  try {
    const store = await runtime.store();
    if ((await store.run(runId)) === undefined) return;
    const at = new Date(runtime.clock.now()).toISOString();
    const level = anomaly.verdict === 'suspicious' ? 'warn' : 'info';
    await store.writeLog([{ run: runId, at, level, node: id, message: logText(summary) }]);
  } catch (error) {
    warn(`The verdict is not in the log of the run ${runId}: ${toBackupError(error).message}`);
  }
}

function showVerdict(context: Context, { anomaly }: GuardReport): void {
  const { verdict, compared, needed, findings, others } = anomaly;
  const values = { compared, needed, count: findings.length };
  const { sign, ...look } = LOOKS[verdict];
  const time = formatTime(new Date(context.runtime.clock.now()));
  const text = `${sign}${time} · ${textOf(context, verdict, values)}`;
  if (others === undefined) context.status({ ...look, text });
  else context.status({ ...LOOKS.suspicious, text: `${text} · ${textOf(context, 'others')}` });
}

function textOf(
  { type, text }: Context,
  key: string,
  values?: Readonly<Record<string, string | number>>,
): string {
  return text(`${type}.status.${key}`, values);
}
