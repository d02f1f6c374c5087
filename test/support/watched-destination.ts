import type { ByteStream } from '../../lib/bytes/stream.ts';
import type {
  DestinationDriver,
  ObjectInfo,
  ObjectLock,
  PendingObject,
  ReadOptions,
  WriteOptions,
} from '../../lib/destinations/driver.ts';

/** What a storage can be asked for. */
export type Step = 'list' | 'stat' | 'read' | 'write' | 'commit' | 'remove' | 'lock';

/** A real destination that tells of each step before it is served; what the teller throws is the answer. */
export class WatchedDestination implements DestinationDriver {
  readonly kind: string;
  readonly properties: DestinationDriver['properties'];
  /** Everything that was asked, in order: `remove shop/…/manifest.json`. */
  readonly asked: string[] = [];
  /** Called before each step. */
  before: (step: Step, path: string) => void | Promise<void> = () => undefined;
  /** Locks of objects whose paths hold these texts. */
  readonly locks = new Map<string, ObjectLock>();
  readonly #inner: DestinationDriver;

  constructor(inner: DestinationDriver) {
    this.#inner = inner;
    this.kind = inner.kind;
    this.properties = inner.properties;
  }

  describe = () => this.#inner.describe();
  probe = (signal: AbortSignal) => this.#inner.probe(signal);
  sweep = (olderThan: Date, signal: AbortSignal) => this.#inner.sweep(olderThan, signal);
  unfinished = (prefix: string, signal: AbortSignal) => this.#inner.unfinished?.(prefix, signal) ?? nothing();

  async *list(prefix: string, signal: AbortSignal): AsyncGenerator<ObjectInfo, void> {
    await this.#step('list', prefix);
    for await (const object of this.#inner.list(prefix, signal)) {
      yield object;
      await this.#step('list', object.path);
    }
  }

  async stat(path: string, signal: AbortSignal): Promise<ObjectInfo | undefined> {
    await this.#step('stat', path);
    return this.#inner.stat(path, signal);
  }

  async read(path: string, options: ReadOptions): Promise<ByteStream> {
    await this.#step('read', path);
    return this.#inner.read(path, options);
  }

  async remove(path: string, signal: AbortSignal): Promise<void> {
    await this.#step('remove', path);
    await this.#inner.remove(path, signal);
  }

  async lockOf(path: string): Promise<ObjectLock | undefined> {
    await this.#step('lock', path);
    return [...this.locks].find(([part]) => path.includes(part))?.[1];
  }

  async write(path: string, bytes: ByteStream, options: WriteOptions): Promise<PendingObject> {
    await this.#step('write', path);
    const pending = await this.#inner.write(path, bytes, options);
    const commit = async () => {
      await this.#step('commit', path);
      await pending.commit();
    };
    return { bytes: pending.bytes, commit, abort: () => pending.abort() };
  }

  async #step(step: Step, path: string): Promise<void> {
    this.asked.push(`${step} ${path}`);
    await this.before(step, path);
  }
}

async function* nothing(): AsyncGenerator<ObjectInfo, void> {}
