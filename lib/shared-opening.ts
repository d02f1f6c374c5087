import { orAbort } from './abort.ts';

interface Opening<T> {
  readonly opened: Promise<T>;
  readonly stop: AbortController;
  waiting: number;
}

/**
 * Something that is opened once for all who wait for it at the same time, and given up when none of them does any
 * more. Who comes after that begins anew.
 */
export class SharedOpening<T> {
  readonly #open: (signal: AbortSignal) => Promise<T>;
  #current: Opening<T> | undefined;

  constructor(open: (signal: AbortSignal) => Promise<T>) {
    this.#open = open;
  }

  /** @throws what opening it threw; BackupError the signal's reason */
  async wait(signal: AbortSignal): Promise<T> {
    const opening = this.#current ?? this.#begin();
    opening.waiting += 1;
    try {
      return await orAbort(opening.opened, signal);
    } finally {
      opening.waiting -= 1;
      if (opening.waiting === 0) {
        this.#forget(opening);
        opening.stop.abort();
      }
    }
  }

  #begin(): Opening<T> {
    const stop = new AbortController();
    const opening: Opening<T> = { opened: this.#open(stop.signal), stop, waiting: 0 };
    const forget = () => this.#forget(opening);
    opening.opened.then(forget, forget);
    this.#current = opening;
    return opening;
  }

  #forget(opening: Opening<T>): void {
    if (this.#current === opening) this.#current = undefined;
  }
}
