import { Turns } from '../turns.ts';
import type { NotificationContent } from './content.ts';
import type { Delivery } from './notifier.ts';

/** It was not told, since there is newer progress, or the run has ended. */
export interface Overtaken {
  readonly status: 'overtaken';
}

const OVERTAKEN: Overtaken = { status: 'overtaken' };

export interface ProgressLaneParts {
  /** How many are sent at a time, of all runs together. */
  readonly most: number;
  /** How many runs may have progress that is being sent or waits. */
  readonly mostRuns: number;
  /** Sends one. Never rejects. */
  send(content: NotificationContent, signal: AbortSignal): Promise<Delivery>;
  /** What becomes of progress of one run more. */
  refuse(): Delivery;
  /** Aborted when nothing is sent any more. */
  readonly closing: AbortSignal;
}

/** The progress of one run. */
interface RunLane {
  readonly ended: AbortController;
  /** The newest that is not being sent yet. */
  waiting:
    | { readonly content: NotificationContent; readonly settle: (sent: Delivery | Overtaken) => void }
    | undefined;
}

/** Sends progress: of each run one at a time, after which the newest is the next, and none after the run's end. */
export class ProgressLane {
  readonly #parts: ProgressLaneParts;
  readonly #turns: Turns;
  /** By run: those of which progress is being sent, or waits. */
  readonly #lanes = new Map<string, RunLane>();
  #closed = false;

  constructor(parts: ProgressLaneParts) {
    this.#parts = parts;
    this.#turns = new Turns(parts.most);
  }

  /** Resolves when it was sent, or is not going to be. Never rejects. */
  send(content: NotificationContent): Promise<Delivery | Overtaken> {
    if (this.#closed || this.#parts.closing.aborted) return Promise.resolve(OVERTAKEN);
    const key = runOf(content);
    const known = this.#lanes.get(key);
    if (known === undefined && this.#lanes.size >= this.#parts.mostRuns) {
      return Promise.resolve(this.#parts.refuse());
    }
    const lane = known ?? { ended: new AbortController(), waiting: undefined };
    const { promise, resolve } = Promise.withResolvers<Delivery | Overtaken>();
    lane.waiting?.settle(OVERTAKEN);
    lane.waiting = { content, settle: resolve };
    if (known === undefined) {
      this.#lanes.set(key, lane);
      void this.#sendAll(key, lane);
    }
    return promise;
  }

  /** Drops what waits of the run that this tells the end of, and stops what is being sent. */
  end(content: NotificationContent): void {
    this.#end(runOf(content));
  }

  /** The same for all runs, for good. */
  close(): void {
    this.#closed = true;
    for (const key of [...this.#lanes.keys()]) this.#end(key);
  }

  #end(key: string): void {
    const lane = this.#lanes.get(key);
    this.#lanes.delete(key);
    lane?.waiting?.settle(OVERTAKEN);
    lane?.ended.abort();
  }

  async #sendAll(key: string, lane: RunLane): Promise<void> {
    const { signal } = lane.ended;
    const stop = AbortSignal.any([this.#parts.closing, signal]);
    while (lane.waiting !== undefined && !stop.aborted) {
      const giveBack = await this.#turns.take(stop).catch(() => undefined);
      const next = lane.waiting;
      lane.waiting = undefined;
      next.settle(giveBack === undefined ? OVERTAKEN : await this.#send(next.content, stop, signal));
      giveBack?.();
    }
    lane.waiting?.settle(OVERTAKEN);
    // Another one may have begun after the end of this.
    if (this.#lanes.get(key) === lane) this.#lanes.delete(key);
  }

  async #send(
    content: NotificationContent,
    stop: AbortSignal,
    ended: AbortSignal,
  ): Promise<Delivery | Overtaken> {
    if (ended.aborted) return OVERTAKEN;
    const delivery = await this.#parts.send(content, stop);
    return ended.aborted && delivery.status === 'failed' ? OVERTAKEN : delivery;
  }
}

/** Names the run, as far as a message that flows may have changed says. */
function runOf({ runId, job }: NotificationContent): string {
  return runId ?? job ?? '';
}
