import type { Clock } from '../clock.ts';
import type { HealthCheck, Verdict } from './check.ts';
import { FreshValue } from './fresh-value.ts';

/** How long a write of the store proves that the next one works, in ms. */
const MAX_AGE_MS = 5_000;
const TIMEOUT_MS = 15_000;

/** The history can be written: a run that cannot be recorded is not begun. */
export class StoreCheck implements HealthCheck {
  readonly name = 'store';
  readonly #probe: FreshValue<void>;

  /** @param write writes something; rejects when that is not possible */
  constructor(write: () => Promise<void>, clock: Clock) {
    this.#probe = new FreshValue({ clock, maxAgeMs: MAX_AGE_MS, timeoutMs: TIMEOUT_MS, ask: write });
  }

  look(): Verdict {
    const answer = this.#probe.peek();
    if (answer === undefined) return { state: 'fail', message: 'The history is being opened' };
    if ('error' in answer) return { state: 'fail', message: answer.error.message };
    return { state: 'ok', message: 'The history can be written' };
  }

  settled(): Promise<void> {
    return this.#probe.settled();
  }
}
