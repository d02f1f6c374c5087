import { BackupError } from '../errors.ts';
import { Turns } from '../turns.ts';
import { isProgress, type NotificationContent } from './content.ts';
import type { Delivery, Notifier } from './notifier.ts';
import { type Overtaken, ProgressLane } from './progress-lane.ts';

/** What became of a notification that was to be sent. */
export type Sent = Delivery | Overtaken;

/** Notifications of a notifier that are under way at a time; the others wait, in their order. */
export const MOST_SENDS = 8;
/** The same of progress, which gets in the way of nothing else. */
export const MOST_PROGRESS_SENDS = 4;
/** Notifications that wait at most, and runs with progress. One more fails at once, so that people know. */
export const MOST_WAITING = 1000;

/**
 * What a notifier is to send. However long its service is dead, a bounded number of notifications is under way and
 * waits, and none is lost without a word but progress that is overtaken by newer progress or by the end of its run.
 */
export class Outbox {
  readonly #notifier: Notifier;
  readonly #closing: AbortSignal;
  readonly #turns = new Turns(MOST_SENDS);
  readonly #progress: ProgressLane;

  /** @param closing aborted when nothing is sent any more */
  constructor(notifier: Notifier, closing: AbortSignal) {
    this.#notifier = notifier;
    this.#closing = closing;
    this.#progress = new ProgressLane({
      most: MOST_PROGRESS_SENDS,
      mostRuns: MOST_WAITING,
      send: (content, signal) => notifier.send(content, signal),
      refuse: () => this.#refuse(),
      closing,
    });
  }

  /** Sends a notification when it is its turn. Never rejects. */
  send(content: NotificationContent): Promise<Sent> {
    return isProgress(content) ? this.#progress.send(content) : this.#inTurn(content);
  }

  /** The run has ended: progress of it that has not been told by now is told no more. */
  endProgressOf(content: NotificationContent): void {
    this.#progress.end(content);
  }

  /** No progress is told any more. */
  endProgress(): void {
    this.#progress.close();
  }

  async #inTurn(content: NotificationContent): Promise<Delivery> {
    if (this.#turns.waiting >= MOST_WAITING) return this.#refuse();
    // When all ends, the notifier itself says so.
    const giveBack = await this.#turns.take(this.#closing).catch(() => undefined);
    try {
      return await this.#notifier.send(content, this.#closing);
    } finally {
      giveBack?.();
    }
  }

  #refuse(): Delivery {
    const told = `${this.#notifier.describe()} was not notified: ${MOST_WAITING} notifications wait already, since it does not take them`;
    const error = new BackupError('unavailable', told, { transient: true });
    return { status: 'failed', attempts: 0, notes: [], error };
  }
}
