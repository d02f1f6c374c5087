import type { EventEmitter } from 'node:events';
import type { Clock } from '../lib/clock.ts';
import { toBackupError } from '../lib/errors.ts';
import type { EngineEvents } from '../lib/runs/outcome.ts';
import type { Store } from '../lib/store/store.ts';
import type { RecordedVerification } from '../lib/store/verifications.ts';

interface Parts {
  readonly events: EventEmitter<EngineEvents>;
  readonly clock: Clock;
  store(): Promise<Pick<Store, 'verifications'>>;
  warn(message: string): void;
}

/** Writes every verification that comes to a verdict into the history. What counts stands beside the sets. */
export class VerificationHistory {
  readonly #parts: Parts;
  #writing: Promise<void> = Promise.resolve();

  constructor(parts: Parts) {
    this.#parts = parts;
    parts.events.on('setVerified', ({ runId, job, storage, path, error }) => {
      const at = new Date(parts.clock.now()).toISOString();
      const message = error?.message ?? null;
      this.add({ at, job, run: runId, storage, path, level: 'hash', ok: error === undefined, message });
    });
  }

  /** Never throws: a history that cannot be written to is told. */
  add(verification: RecordedVerification): void {
    this.#writing = this.#writing.then(() => this.#write(verification));
  }

  /** Resolves when all is written. Never rejects. */
  idle(): Promise<void> {
    return this.#writing;
  }

  async #write(verification: RecordedVerification): Promise<void> {
    try {
      await (await this.#parts.store()).verifications.record(verification);
    } catch (error) {
      const why = toBackupError(error).message;
      this.#parts.warn(`A verification of ${verification.path} is not in the history: ${why}`);
    }
  }
}
