import { abortError, throwIfAborted } from './errors.ts';

/** Lets at most so many do something at the same time; the others wait for their turn, in their order. */
export class Turns {
  readonly #waiting: (() => void)[] = [];
  #most: number;
  #taken = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** How many have a turn now. */
  get taken(): number {
    return this.#taken;
  }

  get most(): number {
    return this.#most;
  }

  /** How many wait for theirs. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** From now on fewer get a turn at the same time. */
  lower(most: number): void {
    this.#most = Math.min(this.#most, most);
  }

  /** @returns gives the turn back, once @throws BackupError the signal's reason */
  async take(signal: AbortSignal): Promise<() => void> {
    throwIfAborted(signal);
    if (this.#taken < this.#most) this.#taken += 1;
    else await this.#wait(signal);
    let taken = true;
    return () => {
      if (taken) this.#giveBack();
      taken = false;
    };
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = () => {
        signal.removeEventListener('abort', giveUp);
        resolve();
      };
      const giveUp = () => {
        const at = this.#waiting.indexOf(enter);
        if (at >= 0) this.#waiting.splice(at, 1);
        reject(abortError(signal));
      };
      this.#waiting.push(enter);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  /** Handed on to who waits longest, so that nobody can get in between. */
  #giveBack(): void {
    const next = this.#taken > this.#most ? undefined : this.#waiting.shift();
    if (next === undefined) this.#taken -= 1;
    else next();
  }
}
