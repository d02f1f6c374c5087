import { abortError, throwIfAborted } from '../errors.ts';
import { type QueueLimits, requireLimits } from './limits.ts';

/** A run that asks for its turn. */
export interface QueueRequest {
  readonly id: string;
  /** The database servers that it reads from; a run without one waits for no server. */
  readonly servers: readonly string[];
}

/** Where a waiting run stands. */
export interface QueuePlace {
  /** From 1. */
  readonly position: number;
  /** How many wait. */
  readonly count: number;
  /** A server of its own that is busy, or kept for a run before it; undefined when too many runs go on at all. */
  readonly server: string | undefined;
  /** It is its turn here, and runs of other processes read from its servers. */
  readonly elsewhere?: true;
}

interface Waiting {
  readonly request: QueueRequest;
  readonly begin: () => void;
  shown: QueuePlace | undefined;
}

/**
 * Who runs when. A run takes all that it needs at once or nothing. First come, first served; but a run whose servers are
 * busy lets those pass that need none of them, and nobody takes a place on a server that a run before it waits for.
 */
export class RunQueue {
  readonly #limits: QueueLimits;
  readonly #moved: (id: string, place: QueuePlace) => void;
  readonly #going = new Set<QueueRequest>();
  readonly #waiting: Waiting[] = [];

  /**
   * @param moved told where a run stands that has to wait, and whenever that changes
   * @throws BackupError `invalid-config` for limits that would let nothing run
   */
  constructor(limits: QueueLimits, moved: (id: string, place: QueuePlace) => void = () => undefined) {
    requireLimits(limits);
    this.#limits = limits;
    this.#moved = moved;
  }

  /**
   * Waits for its turn; it has come when this resolves.
   * @returns gives the place back; calling it again does nothing
   * @throws BackupError the signal's reason when it aborts first; the queue is left then
   */
  enter(request: QueueRequest, signal: AbortSignal): Promise<() => void> {
    return new Promise((resolve, reject) => {
      throwIfAborted(signal);
      const waiting: Waiting = {
        request,
        shown: undefined,
        begin: () => {
          signal.removeEventListener('abort', giveUp);
          resolve(() => {
            if (this.#going.delete(request)) this.#advance();
          });
        },
      };
      const giveUp = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(abortError(signal));
        this.#advance();
      };
      signal.addEventListener('abort', giveUp, { once: true });
      this.#waiting.push(waiting);
      this.#advance();
    });
  }

  /** Where a run stands; undefined when it does not wait. */
  placeOf(id: string): QueuePlace | undefined {
    return this.#waiting.find(({ request }) => request.id === id)?.shown;
  }

  #advance(): void {
    const kept = new Map<string, number>();
    const blocked = new Map<Waiting, string | undefined>();
    for (const waiting of [...this.#waiting]) {
      const { request } = waiting;
      const busy = request.servers.find((server) => this.#isBusy(server, kept));
      if (busy === undefined && this.#going.size < this.#limits.concurrency) {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        this.#going.add(request);
        waiting.begin();
        continue;
      }
      blocked.set(waiting, busy);
      for (const server of request.servers) kept.set(server, (kept.get(server) ?? 0) + 1);
    }
    this.#tell(blocked);
  }

  #isBusy(server: string, kept: ReadonlyMap<string, number>): boolean {
    const going = [...this.#going].filter(({ servers }) => servers.includes(server)).length;
    return going + (kept.get(server) ?? 0) >= this.#limits.perServer;
  }

  #tell(blocked: ReadonlyMap<Waiting, string | undefined>): void {
    const count = this.#waiting.length;
    for (const [index, waiting] of [...this.#waiting].entries()) {
      const place = { position: index + 1, count, server: blocked.get(waiting) };
      const { shown } = waiting;
      waiting.shown = place;
      if (shown !== undefined && isSame(shown, place)) continue;
      this.#moved(waiting.request.id, place);
    }
  }
}

function isSame(one: QueuePlace, other: QueuePlace): boolean {
  return one.position === other.position && one.count === other.count && one.server === other.server;
}
