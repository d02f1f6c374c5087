import type { TrackedNode } from './run-tracker-port.ts';

/** One message at one place. The same message object may stand in several entries: nodes hand it on uncloned. */
export interface LedgerEntry {
  readonly node: TrackedNode;
  readonly msg: object;
  readonly runId: string | undefined;
  readonly place: 'transit' | 'node';
  readonly joined: boolean;
  /** Clock time at which the message came to its place. */
  readonly since: number;
}

interface Entry extends LedgerEntry {
  runId: string | undefined;
  place: 'transit' | 'node';
  joined: boolean;
  since: number;
  /** The node reports the end of its work by `done`; otherwise the work ends when its handler returns. */
  reports: boolean;
}

interface PlanningCount {
  /** Messages of the run that have not joined. */
  open: number;
  lastMoved: number;
}

/**
 * Counts messages per run: on their way, inside a node, joined, gone. A plain state machine without Node-RED
 * and without timers; the run tracker feeds it with what the hooks see and asks it what is due.
 *
 * A message's place is told by the node's id: a redeploy gives the id to a new node object, but no message is
 * ever inside both. A run is known from `open` to `seal`. Every method that moves a message returns the
 * known run that the message belongs to, if any.
 */
export class MessageLedger {
  readonly #byMessage = new Map<object, Entry[]>();
  readonly #runs = new Map<string, PlanningCount>();
  readonly #now: () => number;
  #total = 0;
  #countsAll = false;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Number of counted messages, wherever they are. */
  get total(): number {
    return this.#total;
  }

  /** Counts from now on every message: also of no run, and of a run after its seal. */
  countAll(): void {
    this.#countsAll = true;
  }

  /** A run whose first message is about to be sent. It is due at once when nothing of it is. */
  expect(runId: string): void {
    if (!this.#runs.has(runId)) this.#runs.set(runId, { open: 0, lastMoved: this.#now() });
  }

  /** A run starts with a message that a node is handling. Repeating it for a known run adds the message. */
  open(runId: string, node: TrackedNode, msg: object): void {
    this.expect(runId);
    const entry = this.#find(msg, node, 'node');
    if (entry === undefined) this.#add({ node, msg, runId, place: 'node', reports: true });
    else if (entry.runId !== runId) this.#assign(entry, runId);
    this.#moved(runId);
  }

  /** A message is about to be delivered to a node. */
  sent(node: TrackedNode, msg: object, runId: string | undefined): string | undefined {
    if (!this.#counts(runId)) return undefined;
    this.#add({ node, msg, runId, place: 'transit', reports: false });
    return this.#moved(runId);
  }

  /** A node is about to handle a message, delivered or handed over directly. */
  received(node: TrackedNode, msg: object, runId: string | undefined, reports: boolean): string | undefined {
    const entry = this.#find(msg, node, 'transit');
    if (entry === undefined) {
      if (!this.#counts(runId)) return undefined;
      this.#add({ node, msg, runId, place: 'node', reports });
      return this.#moved(runId);
    }
    entry.place = 'node';
    entry.reports = reports;
    entry.since = this.#now();
    return this.#moved(entry.runId);
  }

  /** The node's handler has returned; that is the end for a handler that does not report. */
  returned(node: TrackedNode, msg: object): string | undefined {
    return this.#end(this.#find(msg, node, 'node', (entry) => !entry.reports));
  }

  /**
   * The node has reported that its work on the message is over. When it was handed the same object twice and
   * joined with one, the report is of the other: the one that joined is held until the run is over.
   */
  completed(node: TrackedNode, msg: object): string | undefined {
    const unjoined = this.#find(msg, node, 'node', (entry) => !entry.joined);
    return this.#end(unjoined ?? this.#find(msg, node, 'node'));
  }

  /** The message waits inside a destination for the run's end and holds nothing up any more. */
  joined(runId: string, node: TrackedNode, msg: object): string | undefined {
    const entry = this.#find(
      msg,
      node,
      'node',
      (candidate) => candidate.runId === runId && !candidate.joined,
    );
    const run = this.#runs.get(runId);
    if (entry === undefined || run === undefined) return undefined;
    entry.joined = true;
    run.open--;
    return this.#moved(runId);
  }

  /** Ends every message inside a node for which `gone` holds; returns the runs that they belonged to. */
  endInside(gone: (node: TrackedNode) => boolean): Set<string> {
    const runs = new Set<string>();
    for (const entry of this.#all()) {
      if (entry.place !== 'node' || !gone(entry.node)) continue;
      const runId = this.#end(entry);
      if (runId !== undefined) runs.add(runId);
    }
    return runs;
  }

  /** Ends every message of the run that has not joined; returns them. */
  giveUp(runId: string): LedgerEntry[] {
    const lost = this.#openEntries(runId);
    for (const entry of lost) this.#end(entry);
    return lost;
  }

  /** True when the run is known and every message of it has joined or ended. */
  isDue(runId: string): boolean {
    return this.#runs.get(runId)?.open === 0;
  }

  /** Forgets the run, and its messages too unless all are counted. */
  seal(runId: string): void {
    this.#runs.delete(runId);
    if (this.#countsAll) return;
    for (const entry of this.#all()) if (entry.runId === runId) this.#end(entry);
  }

  /** Number of the known run's messages that have not joined. */
  openCount(runId: string): number {
    return this.#runs.get(runId)?.open ?? 0;
  }

  openEntries(runId: string): LedgerEntry[] {
    return this.#openEntries(runId);
  }

  /** Clock time of the last movement of a message of the known run. */
  lastMoved(runId: string): number {
    return this.#runs.get(runId)?.lastMoved ?? 0;
  }

  entries(): LedgerEntry[] {
    return this.#all();
  }

  #all(): Entry[] {
    return [...this.#byMessage.values()].flat();
  }

  #openEntries(runId: string): Entry[] {
    return this.#all().filter((entry) => entry.runId === runId && !entry.joined);
  }

  #counts(runId: string | undefined): boolean {
    return this.#countsAll || (runId !== undefined && this.#runs.has(runId));
  }

  #find(
    msg: object,
    node: TrackedNode,
    place: Entry['place'],
    accept: (entry: Entry) => boolean = () => true,
  ): Entry | undefined {
    const same = this.#byMessage.get(msg);
    return same?.find((entry) => entry.node.id === node.id && entry.place === place && accept(entry));
  }

  #add(entry: Omit<Entry, 'joined' | 'since'>): void {
    const added: Entry = { ...entry, joined: false, since: this.#now() };
    const same = this.#byMessage.get(entry.msg);
    if (same === undefined) this.#byMessage.set(entry.msg, [added]);
    else same.push(added);
    this.#total++;
    this.#countOpen(added.runId, 1);
  }

  #assign(entry: Entry, runId: string): void {
    if (!entry.joined) this.#countOpen(entry.runId, -1);
    entry.runId = runId;
    entry.joined = false;
    this.#countOpen(runId, 1);
  }

  #end(entry: Entry | undefined): string | undefined {
    if (entry === undefined) return undefined;
    const others = this.#byMessage.get(entry.msg)?.filter((candidate) => candidate !== entry) ?? [];
    if (others.length === 0) this.#byMessage.delete(entry.msg);
    else this.#byMessage.set(entry.msg, others);
    this.#total--;
    if (!entry.joined) this.#countOpen(entry.runId, -1);
    return this.#moved(entry.runId);
  }

  #countOpen(runId: string | undefined, step: 1 | -1): void {
    const run = runId === undefined ? undefined : this.#runs.get(runId);
    if (run !== undefined) run.open += step;
  }

  #moved(runId: string | undefined): string | undefined {
    const run = runId === undefined ? undefined : this.#runs.get(runId);
    if (run === undefined) return undefined;
    run.lastMoved = this.#now();
    return runId;
  }
}
