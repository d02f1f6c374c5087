import type { BackupMessage, NodeContext } from '../define-node.ts';
import { deadLetterStatus } from '../status/job-status.ts';

/**
 * Whether a run must not begin, since the job is dead-lettered and nobody has asked for it: then that is recorded and
 * shown. Only what a schedule has launched is told from what people and programs ask for: an inject node's own
 * repetition looks as its button does.
 */
export async function isLeftOut(
  context: NodeContext<unknown>,
  job: string,
  message: BackupMessage,
): Promise<boolean> {
  const { jobs, launches } = context.runtime;
  const reason = launches.reasonOf(message);
  if (reason === undefined || reason === 'manual') return false;
  // A history that cannot be read keeps the run from starting, which says so better.
  const why = await jobs.whyLeftOut(job).catch(() => undefined);
  if (why === undefined) return false;
  await jobs.skip({ job, reason: 'dead-lettered', message: why, nodes: [context.id] });
  context.warn(why);
  const failures = jobs.deadLetters.get(job)?.failures ?? 0;
  context.status(deadLetterStatus(failures, (key, values) => context.text(key, values)));
  return true;
}
