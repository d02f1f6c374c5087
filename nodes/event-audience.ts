import type { BackupEvents, EventListener } from '../lib/events/event-bus.ts';
import type { DeployWindow } from './deploy-window.ts';

/** Nodes that are told of events. What happens while a deploy replaces nodes is told to those that come. */
export class EventAudience {
  readonly #nodes = new Set<EventListener>();
  readonly #leave: () => void;

  constructor(happenings: BackupEvents, deploys: Pick<DeployWindow, 'afterDeploy'>) {
    this.#leave = happenings.listen((event) =>
      deploys.afterDeploy(() => {
        for (const node of [...this.#nodes]) node(event);
      }),
    );
  }

  /** Tells a node from now on. @returns what ends that */
  join(node: EventListener): () => void {
    this.#nodes.add(node);
    return () => this.#nodes.delete(node);
  }

  dispose(): void {
    this.#leave();
    this.#nodes.clear();
  }
}
