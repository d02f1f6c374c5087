import { abortError, BackupError } from '../errors.ts';

export interface TurnOptions {
  /** What a storage that hangs is told to have done: `s3 took no data`. */
  readonly complaint: string;
  /** A storage that keeps us waiting for so long has failed, in ms. */
  readonly stallMs: number;
  readonly signal: AbortSignal;
  /** How long an abort waits for what is under way before it ends the turn too, in ms. */
  readonly graceMs?: number;
}

/**
 * Measures how long a storage keeps us waiting; the time in which we keep it waiting does not count. Its
 * signal aborts with `stalled` when the storage hangs, and with the reason of the signal that it was given.
 * Whoever makes one closes it: until then it holds a listener, and a timer while it is the storage's turn.
 */
export class StorageTurn {
  readonly #controller = new AbortController();
  readonly #options: TurnOptions;
  readonly #onAbort = () => this.#abort();
  #timer: NodeJS.Timeout | undefined;
  #grace: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: TurnOptions) {
    this.#options = options;
    if (options.signal.aborted) this.#abort();
    else options.signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** It is the storage's turn now: it may take `patience` times the stall limit. */
  begin(patience = 1): void {
    this.over();
    if (this.#closed) return;
    const limitMs = this.#options.stallMs * patience;
    this.#timer = setTimeout(() => this.#controller.abort(this.#stalled(limitMs)), limitMs);
  }

  over(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  close(): void {
    this.#closed = true;
    this.over();
    clearTimeout(this.#grace);
    this.#options.signal.removeEventListener('abort', this.#onAbort);
  }

  #abort(): void {
    const reason = abortError(this.#options.signal);
    const { graceMs = 0 } = this.#options;
    if (graceMs === 0) this.#controller.abort(reason);
    else this.#grace = setTimeout(() => this.#controller.abort(reason), graceMs);
  }

  #stalled(limitMs: number): BackupError {
    const seconds = Math.ceil(limitMs / 1000);
    return new BackupError(
      'stalled',
      `${this.#options.complaint} for ${seconds} s: the storage hangs. Check it and its network`,
      { transient: true },
    );
  }
}
