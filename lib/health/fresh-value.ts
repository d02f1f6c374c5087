import type { Clock } from '../clock.ts';
import { BackupError, toBackupError } from '../errors.ts';

/** What was answered last. */
export type Answer<T> = { readonly value: T } | { readonly error: BackupError };

export interface FreshValueOptions<T> {
  readonly clock: Clock;
  /** From when on an answer is too old, in ms. */
  readonly maxAgeMs: number;
  /** How long it may take, in ms. */
  readonly timeoutMs: number;
  ask(signal: AbortSignal): Promise<T>;
}

/**
 * Something that takes a while to ask: what was answered last is there at once, and asking again goes on in the
 * background. A question that hangs, as on a disk that is gone, is never asked a second time beside the first.
 */
export class FreshValue<T> {
  readonly #options: FreshValueOptions<T>;
  #answer: Answer<T> | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;
  #hangs = false;
  #settled: Promise<void> = Promise.resolve();

  constructor(options: FreshValueOptions<T>) {
    this.#options = options;
  }

  /** What was answered last; undefined before the first answer. Asks again when that is too old. */
  peek(): Answer<T> | undefined {
    this.refresh();
    return this.#answer;
  }

  /** Asks again when the answer is too old. */
  refresh(): void {
    const { clock, maxAgeMs } = this.#options;
    const age = clock.now() - this.#askedAt;
    // A clock that was set back must not keep the answer for ever.
    if (this.#hangs || (age >= 0 && age < maxAgeMs)) return;
    this.#askedAt = clock.now();
    this.#settled = this.#ask();
  }

  /** Resolves when what is being asked is answered, or took too long. Never rejects. */
  settled(): Promise<void> {
    return this.#settled;
  }

  async #ask(): Promise<void> {
    const { clock, timeoutMs, ask } = this.#options;
    const controller = new AbortController();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = clock.setTimer(() => {
      const late = new BackupError('stalled', `there is no answer within ${timeoutMs / 1000} s`);
      this.#answer = { error: late };
      controller.abort(late);
      resolve();
    }, timeoutMs);
    this.#hangs = true;
    answerOf(ask, controller.signal).then((answer) => {
      timer.cancel();
      this.#hangs = false;
      if (!controller.signal.aborted) this.#answer = answer;
      resolve();
    });
    await promise;
  }
}

async function answerOf<T>(
  ask: (signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
): Promise<Answer<T>> {
  try {
    return { value: await ask(signal) };
  } catch (thrown) {
    return { error: toBackupError(thrown) };
  }
}
