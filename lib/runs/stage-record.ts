import type { EventEmitter } from 'node:events';
import type { Clock } from '../clock.ts';
import type { EngineEvents, RunProgress } from './outcome.ts';

/** A run's stage is not written more often than after that time, in ms. */
const PAUSE_MS = 5_000;

interface Recorded {
  text: string;
  at: number;
}

/**
 * Writes down what each run does at the moment, so that the history can say what it did when its process died: seldom,
 * and only when it has changed. What cannot be written is left out: it decides nothing.
 * @param write writes it into the history
 */
export function recordStages(
  events: EventEmitter<EngineEvents>,
  write: (runId: string, text: string) => Promise<void>,
  clock: Clock,
): void {
  const recorded = new Map<string, Recorded>();
  events.on('progress', (progress) => {
    const last = recorded.get(progress.runId);
    const text = stageText(progress);
    const now = clock.now();
    const age = Math.abs(now - (last?.at ?? Number.NEGATIVE_INFINITY));
    if (text === last?.text || age < PAUSE_MS) return;
    recorded.set(progress.runId, { text, at: now });
    write(progress.runId, text).catch(() => undefined);
  });
  events.on('finished', ({ runId }) => recorded.delete(runId));
}

/** What a run does, to be read after "it was last seen". */
export function stageText({ stage, database, index, count, retry }: RunProgress): string {
  const place = count > 1 ? ` (${index} of ${count})` : '';
  if (retry !== undefined)
    return `waiting for attempt ${retry.attempt} of ${retry.attempts}: ${database}${place}`;
  return `${stage} ${database}${place}`;
}
