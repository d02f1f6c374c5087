import type { EventEmitter } from 'node:events';
import type { NodeStatus } from 'node-red';
import type { JobBook } from '../../lib/runs/job-book.ts';
import type { EngineEvents } from '../../lib/runs/outcome.ts';
import type { WatchedNodes } from '../operations/watched-nodes.ts';
import type { StatusBoard } from './status-board.ts';
import type { Translate } from './status-text.ts';

interface FlowEvents {
  on(event: string, listener: () => void): unknown;
  removeListener(event: string, listener: () => void): unknown;
}

export interface JobStatusParts {
  readonly flows: FlowEvents;
  readonly events: EventEmitter<EngineEvents>;
  readonly jobs: Pick<JobBook, 'deadLetters' | 'refresh'>;
  readonly watched: Pick<WatchedNodes, 'sourcesOfJob' | 'schedules'>;
  readonly board: Pick<StatusBoard, 'set'>;
  readonly text: Translate;
  /** False where schedules do not fire by themselves. */
  readonly schedules: boolean;
}

/** Shows at the sources of a job that it is dead-lettered, and when it was put back. */
export class JobStatus {
  readonly #parts: JobStatusParts;

  constructor(parts: JobStatusParts) {
    this.#parts = parts;
    parts.flows.on('flows:started', this.#begin);
    parts.events.on('jobChanged', ({ job, to, cause, failures }) => {
      if (to === 'dead-lettered') this.#show(job, deadLetterStatus(failures, parts.text));
      else if (cause === 'requeued' || cause === 'discarded') this.#show(job, {});
    });
  }

  dispose(): void {
    this.#parts.flows.removeListener('flows:started', this.#begin);
  }

  /** Shows what was so before the start, or came about elsewhere. */
  readonly #begin = (): void => {
    const { jobs, schedules, text, watched } = this.#parts;
    // Schedules ask the history in any case. A flow without one has nothing that runs by itself.
    if (!schedules || watched.schedules().length === 0) return;
    const show = () => {
      for (const [job, { failures }] of jobs.deadLetters) this.#show(job, deadLetterStatus(failures, text));
    };
    // The readiness says what is wrong with the history.
    jobs.refresh().then(show, () => undefined);
  };

  #show(job: string, status: NodeStatus): void {
    const { board, watched } = this.#parts;
    for (const { id } of watched.sourcesOfJob(job)) board.set(id, status);
  }
}

/** What a source shows whose job runs no more by itself. */
export function deadLetterStatus(failures: number, text: Translate): NodeStatus {
  return { fill: 'red', shape: 'ring', text: `✗ ${text('status.deadLettered', { failures })}` };
}
