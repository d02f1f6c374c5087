import { EventEmitter } from 'node:events';
import { toBackupError } from '../errors.ts';
import type { EngineEvents } from '../runs/outcome.ts';

type Listener = (this: EventEmitter<EngineEvents>, ...values: unknown[]) => unknown;

/**
 * An emitter whose listeners cannot hurt the one who emits: each runs, whatever the others do, and what one
 * throws (or rejects with) becomes a process warning instead of the end of a backup.
 */
export class EngineEmitter extends EventEmitter<EngineEvents> {
  /** Warned of once: progress comes several times a second. */
  readonly #warned = new WeakSet<Listener>();

  override emit<Name extends keyof EngineEvents>(name: Name, ...values: EngineEvents[Name]): boolean {
    const listeners = this.rawListeners(name) as Listener[];
    for (const listener of listeners) {
      try {
        const outcome = listener.apply(this, values);
        if (outcome instanceof Promise) outcome.catch((error: unknown) => this.#warn(listener, name, error));
      } catch (error) {
        this.#warn(listener, name, error);
      }
    }
    return listeners.length > 0;
  }

  #warn(listener: Listener, name: string, error: unknown): void {
    if (this.#warned.has(listener)) return;
    this.#warned.add(listener);
    const { message } = toBackupError(error);
    process.emitWarning(`A listener of the backup engine's event "${name}" failed: ${message}`);
  }
}
