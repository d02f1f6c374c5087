import type { ByteStream } from '../../lib/bytes/stream.ts';
import type {
  DestinationDriver,
  PendingObject,
  ReadOptions,
  WriteOptions,
} from '../../lib/destinations/driver.ts';
import { BackupError } from '../../lib/errors.ts';

/** What goes wrong, for a file whose name holds `file`; `times` counts down, then all is well. */
export interface Fault {
  readonly file: string;
  readonly kind:
    | 'throws' // the driver throws instead of rejecting
    | 'error' // the storage goes away after some bytes
    | 'hang' // it takes no more bytes
    | 'short' // it lost a byte
    | 'commit-error' // it refuses the commit
    | 'commit-lost' // it commits, and the answer gets lost
    | 'commit-late' // it commits when nobody waits any more
    | 'commit-hang'; // it never answers
  readonly afterBytes?: number;
  /** How late `commit-late` is, in ms. */
  readonly lateMs?: number;
  times?: number;
}

/** A real destination with faults put in front of it. */
export class FaultyDestination implements DestinationDriver {
  readonly kind: string;
  readonly properties: DestinationDriver['properties'];
  /** Told of each call before it is served. */
  onCall: () => void = () => undefined;
  /** Removals fail, from now on. */
  removesNothing = false;
  /** Reading hangs, from now on. */
  givesNothing = false;
  readonly #open = new Set<PendingObject>();
  readonly #hung: (() => void)[] = [];
  readonly #inner: DestinationDriver;
  readonly #faults: readonly Fault[];

  constructor(inner: DestinationDriver, ...faults: Fault[]) {
    this.#inner = inner;
    this.#faults = faults.map((fault) => ({ ...fault }));
    this.kind = inner.kind;
    this.properties = inner.properties;
  }

  /** Writes that were neither committed nor aborted: zero when nothing leaks. */
  get pending(): number {
    return this.#open.size;
  }

  /** Lets hung commits fail, so that they hold nothing any more. */
  async release(): Promise<void> {
    for (const fail of this.#hung.splice(0)) fail();
    await Promise.all([...this.#open].map((pending) => pending.abort()));
    this.#open.clear();
  }

  describe = () => this.#inner.describe();
  probe = (signal: AbortSignal) => this.#inner.probe(signal);
  list = (prefix: string, signal: AbortSignal) => this.#inner.list(prefix, signal);
  stat = (path: string, signal: AbortSignal) => {
    this.onCall();
    return this.#inner.stat(path, signal);
  };
  sweep = (olderThan: Date, signal: AbortSignal) => this.#inner.sweep(olderThan, signal);

  async read(path: string, options: ReadOptions): Promise<ByteStream> {
    this.onCall();
    if (this.givesNothing) return new Promise(() => undefined);
    return this.#inner.read(path, options);
  }

  async remove(path: string, signal: AbortSignal): Promise<void> {
    this.onCall();
    if (this.removesNothing) throw new BackupError('unavailable', 'The removal was refused');
    await this.#inner.remove(path, signal);
  }

  write(path: string, bytes: ByteStream, options: WriteOptions): Promise<PendingObject> {
    this.onCall();
    const fault = this.#takeFault(path);
    if (fault?.kind === 'throws') throw new Error('The driver threw');
    return this.#write(path, bytes, options, fault);
  }

  async #write(
    path: string,
    bytes: ByteStream,
    options: WriteOptions,
    fault: Fault | undefined,
  ): Promise<PendingObject> {
    const onTheWay = fault?.kind === 'error' || fault?.kind === 'hang' ? breaking(bytes, fault) : bytes;
    const pending = await this.#inner.write(path, onTheWay, options);
    this.#open.add(pending);
    this.onCall();
    return {
      bytes: fault?.kind === 'short' ? pending.bytes - 1 : pending.bytes,
      commit: async () => {
        this.onCall();
        await this.#delay(fault);
        if (fault?.kind === 'commit-error') throw refused();
        await pending.commit();
        this.#open.delete(pending);
        if (fault?.kind === 'commit-lost') throw refused();
      },
      abort: async () => {
        await pending.abort();
        this.#open.delete(pending);
      },
    };
  }

  async #delay(fault: Fault | undefined): Promise<void> {
    if (fault?.kind === 'commit-hang') {
      await new Promise((_, reject) => this.#hung.push(() => reject(refused())));
    }
    if (fault?.kind === 'commit-late') await new Promise((resolve) => setTimeout(resolve, fault.lateMs));
  }

  #takeFault(path: string): Fault | undefined {
    const fault = this.#faults.find(({ file, times }) => path.includes(file) && (times ?? 1) > 0);
    if (fault !== undefined) fault.times = (fault.times ?? 1) - 1;
    return fault;
  }
}

function refused(): BackupError {
  return new BackupError('unavailable', 'The commit was refused', { transient: true });
}

async function* breaking(bytes: ByteStream, fault: Fault): AsyncGenerator<Buffer, undefined> {
  let passed = 0;
  for await (const chunk of bytes) {
    passed += chunk.length;
    if (passed >= (fault.afterBytes ?? 0)) {
      if (fault.kind === 'hang') await new Promise(() => undefined);
      throw new BackupError('unavailable', 'The storage went away', { transient: true });
    }
    yield chunk;
  }
}
