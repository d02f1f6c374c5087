import type { DestinationBinding } from '../../lib/plan/bindings.ts';
import type { NodeRole } from '../node-role.ts';
import { findOffer, type Offer, PLACE, SCHEDULE, type ScheduleService } from '../services.ts';

/** A running node, as far as health and metrics look at it. */
export interface WatchedNode {
  readonly id: string;
  readonly type: string;
  readonly role: NodeRole;
  /** Id of the node in the subflow that it is an instance of. */
  readonly template?: string | undefined;
  readonly name?: string | undefined;
  readonly offers: readonly Offer[];
  /** Name of the job that a source opens runs of. */
  readonly job?: string | undefined;
}

/** A source as it runs now. */
export interface RunningSource {
  readonly id: string;
  /** Name of the job that it opens runs of. */
  readonly job: string;
}

/** What is no name for people but an address, or might hold a secret. */
const ADDRESS = /[/\\@]/;

/** The backup nodes that run now. */
export class WatchedNodes {
  readonly #nodes = new Map<string, WatchedNode>();

  add(node: WatchedNode): void {
    this.#nodes.set(node.id, node);
  }

  /** A node that has taken its id meanwhile stays. */
  remove(node: WatchedNode): void {
    if (this.#nodes.get(node.id) === node) this.#nodes.delete(node.id);
  }

  get isEmpty(): boolean {
    return this.#nodes.size === 0;
  }

  jobs(): string[] {
    return [...new Set([...this.#nodes.values()].flatMap(({ job }) => job ?? []))];
  }

  /** Sources that open runs of that job. */
  sourcesOfJob(job: string): RunningSource[] {
    return sourcesAmong([...this.#nodes.values()].filter((node) => node.job === job));
  }

  /** The source with this id in the flow; several where that is in a subflow. */
  sourcesOf(id: string): RunningSource[] {
    return sourcesAmong(this.#instancesOf(id));
  }

  /** What the node with this id in the flow is; undefined of one that does not run. */
  roleOf(id: string): NodeRole | undefined {
    return this.#instancesOf(id)[0]?.role;
  }

  /** Where the destination with this id in the flow stores; several where that is in a subflow. */
  placesOf(id: string): DestinationBinding[] {
    return this.#instancesOf(id).flatMap(({ offers }) => findOffer(offers, PLACE)?.binding() ?? []);
  }

  #instancesOf(id: string): WatchedNode[] {
    const node = this.#nodes.get(id);
    if (node !== undefined) return [node];
    return [...this.#nodes.values()].filter(({ template }) => template === id);
  }

  /** Destinations whose storage is set up: others tell so themselves. */
  destinations(): { readonly name: string; readonly binding: DestinationBinding }[] {
    return [...this.#nodes.values()].flatMap((node) => {
      const place = findOffer(node.offers, PLACE);
      if (place === undefined) return [];
      try {
        return [{ name: this.nameOf(node.id), binding: place.binding() }];
      } catch {
        return [];
      }
    });
  }

  schedules(): { readonly name: string; readonly schedule: ScheduleService }[] {
    return [...this.#nodes.values()].flatMap((node) => {
      const schedule = findOffer(node.offers, SCHEDULE);
      return schedule === undefined ? [] : [{ name: this.nameOf(node.id), schedule }];
    });
  }

  /** What people call a node: its name, unless that is an address or another node of the type has it, too. */
  nameOf(id: string): string {
    const node = this.#nodes.get(id);
    if (node === undefined) return id;
    const { type, name = '' } = node;
    if (name === '' || ADDRESS.test(name)) return `${type} ${id}`;
    const sharers = [...this.#nodes.values()].filter((other) => other.name === name && isLike(other, node));
    return sharers.length > 1 ? `${name} ${id}` : name;
  }
}

function sourcesAmong(nodes: readonly WatchedNode[]): RunningSource[] {
  return nodes.flatMap(({ id, job }) => (job === undefined ? [] : [{ id, job }]));
}

function isLike(one: WatchedNode, other: WatchedNode): boolean {
  return one.offers[0]?.name === other.offers[0]?.name;
}
