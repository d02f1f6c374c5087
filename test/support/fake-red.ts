import { EventEmitter } from 'node:events';
import type { NodeSetApi } from '../../nodes/register-nodes.ts';

type Done = (error?: Error) => void;
type InputHandler = (message: object, send: (message: object) => void, done: Done) => void;

/** A node as Node-RED makes it, as far as our nodes use it. */
export class FakeNode {
  readonly id: string;
  readonly type: string;
  readonly name: string | undefined;
  credentials: Record<string, string> = {};
  readonly sent: object[] = [];
  readonly errors: string[] = [];
  readonly warnings: string[] = [];
  readonly statuses: { readonly fill?: string; readonly text?: string }[] = [];
  input: InputHandler | undefined;

  constructor(raw: { readonly id: string; readonly type: string; readonly name?: string }) {
    this.id = raw.id;
    this.type = raw.type;
    this.name = raw.name;
  }

  on(event: string, handler: InputHandler): void {
    if (event === 'input') this.input = handler;
  }

  send(message: object): void {
    this.sent.push(message);
  }

  error(message: string | Error): void {
    this.errors.push(String(message));
  }

  warn(message: string): void {
    this.warnings.push(message);
  }

  log(): void {
    // Information is not looked at.
  }

  status(status: { readonly fill?: string; readonly text?: string }): void {
    this.statuses.push(status);
  }

  /** Hands a message to the node and waits until it is done; resolves with the error, if there was one. */
  receive(message: object): Promise<{ readonly error: Error | undefined; readonly calls: () => number }> {
    let calls = 0;
    return new Promise((resolve) => {
      const done = (error?: Error) => {
        calls += 1;
        setImmediate(() => resolve({ error, calls: () => calls }));
      };
      if (this.input === undefined) throw new Error('The node takes no messages');
      this.input(message, (sent) => this.send(sent), done);
    });
  }
}

type Constructor = (this: object, raw: object) => void;

/** The `RED` of a node set, without a Node-RED: for what is pure in the registration of nodes. */
export class FakeRed {
  readonly types = new Map<string, { construct: Constructor; credentials: Record<string, unknown> }>();
  readonly running = new Map<string, FakeNode>();
  readonly logged: string[] = [];
  readonly stored = new Map<string, Record<string, unknown>>();
  /** Nodes of the deployed flow that do not run. */
  readonly deployed: { readonly id: string; readonly type: string }[] = [];
  readonly events = new EventEmitter();
  readonly settings: Record<string, unknown>;

  constructor(settings: Record<string, unknown> = {}) {
    this.settings = { httpAdminRoot: false, ...settings };
  }

  get api(): NodeSetApi {
    const log = (line: string) => void this.logged.push(line);
    const api = {
      events: this.events,
      hooks: { add: () => undefined, remove: () => undefined },
      settings: this.settings,
      log: { warn: log, error: log, info: log },
      _: (key: string, values: object = {}) => [key, ...Object.values(values)].join(' '),
      nodes: {
        createNode: () => undefined,
        getNode: (id: string) => this.running.get(id) ?? null,
        eachNode: (visit: (node: object) => void) => {
          for (const node of [...this.running.values(), ...this.deployed]) visit(node);
        },
        getCredentials: (id: string) => this.stored.get(id),
        registerType: (
          type: string,
          construct: Constructor,
          options: { readonly credentials: Record<string, unknown> },
        ) => this.types.set(type, { construct, credentials: options.credentials }),
      },
    };
    return api as unknown as NodeSetApi;
  }

  /** Starts a node as a deploy does; one with the same id is replaced. */
  start(
    raw: {
      readonly id: string;
      readonly type: string;
      readonly name?: string;
      readonly [key: string]: unknown;
    },
    credentials: Record<string, string> = {},
  ): FakeNode {
    const node = new FakeNode(raw);
    node.credentials = credentials;
    this.running.set(raw.id, node);
    const registered = this.types.get(raw.type);
    if (registered === undefined) throw new Error(`${raw.type} is not registered`);
    registered.construct.call(node, raw);
    return node;
  }
}
