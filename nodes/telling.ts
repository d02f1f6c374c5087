import type { EventEmitter } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeAPI } from 'node-red';
import type { Clock } from '../lib/clock.ts';
import type { BackupEvents } from '../lib/events/event-bus.ts';
import { EventFeed } from '../lib/events/event-feed.ts';
import { RunNarrator } from '../lib/events/run-narrator.ts';
import type { EngineEvents } from '../lib/runs/outcome.ts';
import { STORE_FILE } from '../lib/store/store.ts';
import type { DeployWindow } from './deploy-window.ts';
import { tellEditors } from './editor-news.ts';
import { EventAudience } from './event-audience.ts';
import { EventStreams } from './operations/event-streams.ts';
import type { RuntimeStore } from './runtime-store.ts';

export interface TellingParts {
  readonly events: EventEmitter<EngineEvents>;
  readonly happenings: BackupEvents;
  readonly clock: Clock;
  readonly deploys: Pick<DeployWindow, 'afterDeploy'>;
  /** Only with an editor. */
  readonly comms?: Pick<NodeAPI['comms'], 'publish'>;
  readonly history: Pick<RuntimeStore, 'open' | 'place' | 'events'>;
  /** True when there is a backup node. */
  isWatching(): boolean;
}

/** Who is told what happens to backups, and by whom. */
export class Telling {
  /** Tells of runs. */
  readonly narrator: RunNarrator;
  /** Nodes of the flow. */
  readonly audience: EventAudience;
  /** What HTTP clients have missed. */
  readonly feed: EventFeed;
  /** HTTP clients. */
  readonly streams: EventStreams;
  readonly #parts: TellingParts;
  readonly #endNews: () => void;
  /** Ids of runs whose process died, while the nodes that may tell people of them have not started. */
  #found: string[] = [];
  #begun = false;
  #searching: Promise<void> = Promise.resolve();

  constructor(parts: TellingParts) {
    const { events, happenings, clock, deploys, comms, history } = parts;
    this.#parts = parts;
    this.feed = new EventFeed(happenings);
    this.streams = new EventStreams(this.feed, clock);
    this.audience = new EventAudience(happenings, deploys);
    this.#endNews = tellEditors(happenings, comms);
    this.narrator = new RunNarrator({
      events,
      happenings,
      clock,
      priorRun: async (job, runId, finishedAt) => (await history.open()).priorRun(job, runId, finishedAt),
    });
    history.events.on('interrupted', this.#onInterrupted);
  }

  /** The flow has started: its nodes hear of runs that have died meanwhile, and a history that is there is opened. */
  begin(): void {
    this.#begun = true;
    this.#tellFound();
    // What is wrong with it is told by those who need it.
    if (this.#parts.isWatching() && this.#hasHistory()) this.#parts.history.open().catch(() => undefined);
  }

  /** Resolves when everything that has happened is told. Never rejects. */
  async idle(): Promise<void> {
    await this.#searching;
    await this.narrator.idle();
  }

  dispose(): void {
    this.#parts.history.events.off('interrupted', this.#onInterrupted);
    this.narrator.dispose();
    this.audience.dispose();
    this.#endNews();
    this.streams.close();
    this.feed.dispose();
  }

  readonly #onInterrupted = (runs: readonly { readonly id: string }[]): void => {
    this.#found.push(...runs.map(({ id }) => id));
    if (this.#begun) this.#tellFound();
  };

  #hasHistory(): boolean {
    const { place } = this.#parts.history;
    return place.kind !== 'sqlite' || existsSync(join(place.dataDir, STORE_FILE));
  }

  #tellFound(): void {
    const found = this.#found;
    this.#found = [];
    if (found.length === 0) return;
    this.#searching = this.#searching.then(() => this.#tellInterrupted(found)).catch(() => undefined);
  }

  async #tellInterrupted(runIds: readonly string[]): Promise<void> {
    const store = await this.#parts.history.open();
    for (const id of runIds) {
      const [run] = await store.runs({ id, limit: 1 });
      if (run !== undefined) this.narrator.interrupted(run);
    }
  }
}
