import type { Clock } from '../clock.ts';
import { toBackupError } from '../errors.ts';
import { type BackupEvent, severityOf, type ToldEvent } from './run-event.ts';

export type EventListener = (event: BackupEvent) => unknown;

/**
 * Everything that happens to the backups of one process, for those who tell people and programs of it. Listeners
 * cannot hurt those who tell, nor each other: what one throws, or rejects with, becomes a process warning, and the
 * event is frozen.
 */
export class BackupEvents {
  readonly #clock: Clock;
  readonly #listeners = new Set<{ readonly listener: EventListener; warned: boolean }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Tells an event to all who listen, in the order in which they began to. Never throws. */
  tell(told: ToldEvent): BackupEvent {
    const { event: name, at = new Date(this.#clock.now()).toISOString(), ...rest } = told;
    const event = { event: name, at, severity: severityOf(told), ...rest } as BackupEvent;
    freeze(event);
    for (const entry of [...this.#listeners]) {
      const warn = (thrown: unknown) => {
        if (entry.warned) return;
        entry.warned = true;
        process.emitWarning(`A listener failed at the event "${name}": ${toBackupError(thrown).message}`);
      };
      try {
        const outcome = entry.listener(event);
        if (outcome instanceof Promise) outcome.catch(warn);
      } catch (error) {
        warn(error);
      }
    }
    return event;
  }

  /** Calls for every event from now on. @returns what ends that */
  listen(listener: EventListener): () => void {
    const entry = { listener, warned: false };
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  }
}

/** What one listener gets, another gets too. */
function freeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const part of Object.values(value)) freeze(part);
}
