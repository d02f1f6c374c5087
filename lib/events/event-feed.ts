import { randomBytes } from 'node:crypto';
import type { BackupEvents } from './event-bus.ts';
import type { BackupEvent, ProgressEvent } from './run-event.ts';

/** How many events are kept for those who were away for a moment. */
const KEPT = 200;

/** An event in the feed. Progress has no id: it is over when somebody asks for what they missed. */
export interface FedEvent {
  readonly id?: string;
  readonly event: BackupEvent;
}

/** The last events in their order, for clients that come back; and how far each active run is. */
export class EventFeed {
  /** Ids of another process tell nothing here. */
  readonly #epoch = randomBytes(6).toString('hex');
  readonly #size: number;
  readonly #followers = new Set<(fed: FedEvent) => void>();
  readonly #progress = new Map<string, ProgressEvent>();
  readonly #leave: () => void;
  #kept: { readonly number: number; readonly event: BackupEvent }[] = [];
  #count = 0;

  constructor(happenings: BackupEvents, size = KEPT) {
    this.#size = size;
    this.#leave = happenings.listen((event) => this.#take(event));
  }

  /**
   * The events after that id, as far as they are kept: all of them when the id is of another process, or gone by now.
   * None without an id: whoever comes for the first time has missed nothing.
   */
  since(id: string | undefined): FedEvent[] {
    if (id === undefined) return [];
    const [epoch, number] = id.split('-');
    const seen = epoch === this.#epoch ? Number(number) : 0;
    return this.#kept
      .filter((kept) => !(kept.number <= seen))
      .map(({ number, event }) => ({ id: this.#idOf(number), event }));
  }

  /** Calls for each event from now on. @returns what ends that */
  follow(follower: (fed: FedEvent) => void): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  /** How far an active run was last. */
  progressOf(runId: string): ProgressEvent | undefined {
    return this.#progress.get(runId);
  }

  dispose(): void {
    this.#leave();
    this.#followers.clear();
  }

  #take(event: BackupEvent): void {
    const fed = event.event === 'progress' ? { event } : { id: this.#keep(event), event };
    if (event.event === 'progress') this.#progress.set(event.runId, event);
    else if ('finishedAt' in event) this.#progress.delete(event.runId);
    for (const follower of [...this.#followers]) follower(fed);
  }

  #keep(event: BackupEvent): string {
    this.#count += 1;
    this.#kept = [...this.#kept, { number: this.#count, event }].slice(-this.#size);
    return this.#idOf(this.#count);
  }

  #idOf(number: number): string {
    return `${this.#epoch}-${number}`;
  }
}
