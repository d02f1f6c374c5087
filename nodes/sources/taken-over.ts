import type { BackupMessage, NodeContext } from '../define-node.ts';

/**
 * Whether a run must not begin, since the message comes from a fire that is another process's by now: then that is
 * recorded and shown. A Delay node may have held the message for longer than this process could keep its lease.
 * @throws BackupError `unavailable` when that cannot be known
 */
export async function isTakenOver(
  context: NodeContext<unknown>,
  job: string,
  message: BackupMessage,
): Promise<boolean> {
  const { jobs, launches } = context.runtime;
  const lease = launches.leaseOf(message);
  if (lease === undefined || !(await lease.isLost())) return false;
  const why = `A run of ${job} was not begun here: this process was silent for so long that the fire of the schedule is another one's by now, which begins the run itself`;
  context.warn(why);
  context.status({ fill: 'yellow', shape: 'ring', text: context.text('status.takenOver') });
  await jobs.skip({ job, reason: 'taken-over', message: why, nodes: [context.id] });
  return true;
}
