import type { NodeStatus } from 'node-red';
import type { ScheduleView } from '../../lib/schedule/scheduler.ts';
import { failure, type Translate } from '../status/status-text.ts';

/**
 * What a schedule node shows.
 * @param time writes an instant for people
 * @param deadLetters jobs that it begins no more
 */
export function scheduleStatus(
  view: ScheduleView,
  text: Translate,
  time: (at: number) => string,
  deadLetters: readonly string[],
): NodeStatus {
  const status = viewStatus(view, text, time);
  if (deadLetters.length === 0 || view.state === 'failed') return status;
  const dead = text('status.deadLetters', { jobs: deadLetters.join(', ') });
  return { ...status, fill: 'red', shape: 'ring', text: `✗ ${dead} · ${status.text ?? ''}` };
}

function viewStatus(view: ScheduleView, text: Translate, time: (at: number) => string): NodeStatus {
  switch (view.state) {
    case 'waiting':
      return { fill: 'grey', shape: 'dot', text: text('status.next', { next: time(view.next) }) };
    case 'running':
      return { fill: 'blue', shape: 'dot', text: `▶ ${text('status.next', { next: time(view.next) })}` };
    case 'skipped': {
      const values = { at: time(view.at), next: time(view.next) };
      return { fill: 'yellow', shape: 'ring', text: text('status.skipped', values) };
    }
    case 'queued':
      return { fill: 'blue', shape: 'ring', text: text('status.queued', { at: time(view.at) }) };
    case 'paused':
      return { fill: 'grey', shape: 'ring', text: text('status.paused') };
    case 'failed':
      return failure(view.error);
  }
}
