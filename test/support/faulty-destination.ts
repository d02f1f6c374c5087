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
  readonly kind: 'error' | 'hang' | 'commit-error' | 'commit-hang' | 'short';
  readonly afterBytes?: number;
  times?: number;
}

/** A real destination with faults put in front of it. */
export class FaultyDestination implements DestinationDriver {
  readonly kind: string;
  readonly properties: DestinationDriver['properties'];
  /** Writes that were neither committed nor aborted: zero when nothing leaks. */
  pending = 0;
  readonly #inner: DestinationDriver;
  readonly #faults: readonly Fault[];

  constructor(inner: DestinationDriver, ...faults: Fault[]) {
    this.#inner = inner;
    this.#faults = faults;
    this.kind = inner.kind;
    this.properties = inner.properties;
  }

  describe = () => this.#inner.describe();
  probe = (signal: AbortSignal) => this.#inner.probe(signal);
  read = (path: string, options: ReadOptions) => this.#inner.read(path, options);
  list = (prefix: string, signal: AbortSignal) => this.#inner.list(prefix, signal);
  stat = (path: string, signal: AbortSignal) => this.#inner.stat(path, signal);
  remove = (path: string, signal: AbortSignal) => this.#inner.remove(path, signal);
  sweep = (olderThan: Date, signal: AbortSignal) => this.#inner.sweep(olderThan, signal);

  async write(path: string, bytes: ByteStream, options: WriteOptions): Promise<PendingObject> {
    const fault = this.#takeFault(path);
    const onTheWay = fault?.kind === 'error' || fault?.kind === 'hang' ? breaking(bytes, fault) : bytes;
    const pending = await this.#inner.write(path, onTheWay, options);
    this.pending += 1;
    return {
      bytes: fault?.kind === 'short' ? pending.bytes - 1 : pending.bytes,
      commit: async () => {
        if (fault?.kind === 'commit-hang') await new Promise(() => undefined);
        if (fault?.kind === 'commit-error')
          throw new BackupError('unavailable', 'The commit was refused', { transient: true });
        this.pending -= 1;
        await pending.commit();
      },
      abort: async () => {
        this.pending -= 1;
        await pending.abort();
      },
    };
  }

  #takeFault(path: string): Fault | undefined {
    const fault = this.#faults.find(({ file, times }) => path.includes(file) && (times ?? 1) > 0);
    if (fault !== undefined) fault.times = (fault.times ?? 1) - 1;
    return fault;
  }
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
