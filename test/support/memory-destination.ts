import type { ByteStream } from '../../lib/bytes/stream.ts';
import type { DestinationDriver, ObjectInfo, PendingObject } from '../../lib/destinations/driver.ts';
import { BackupError } from '../../lib/errors.ts';

interface Held {
  readonly bytes: Buffer;
  readonly modified: Date;
}

/** A storage in memory: for laws that are tried in so many states that a disk would take minutes. */
export class MemoryDestination implements DestinationDriver {
  readonly kind = 'memory';
  readonly properties = { ranges: true, atomicReplace: true, concurrency: 8 };
  /** By their paths; what is changed here was changed by others. */
  objects = new Map<string, Held>();

  describe = () => 'memory:///';

  put(path: string, bytes: Buffer): void {
    this.objects.set(path, { bytes, modified: new Date() });
  }

  bytesOf(path: string): Buffer {
    const held = this.objects.get(path);
    if (held === undefined) throw new BackupError('not-found', `${path} does not exist`);
    return held.bytes;
  }

  async probe(): Promise<{ summary: string }> {
    return { summary: 'it is there' };
  }

  async write(path: string, stream: ByteStream): Promise<PendingObject> {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    return {
      bytes: bytes.length,
      commit: async () => this.put(path, bytes),
      abort: async () => undefined,
    };
  }

  async read(path: string, { range }: { range?: { start: number; end?: number } }): Promise<ByteStream> {
    return once(this.bytesOf(path).subarray(range?.start, range?.end));
  }

  async *list(prefix: string): AsyncGenerator<ObjectInfo, void> {
    for (const [path, held] of [...this.objects]) {
      if (prefix === '' || path.startsWith(`${prefix}/`)) yield infoOf(path, held);
    }
  }

  async stat(path: string): Promise<ObjectInfo | undefined> {
    const held = this.objects.get(path);
    return held === undefined ? undefined : infoOf(path, held);
  }

  async remove(path: string): Promise<void> {
    this.objects.delete(path);
  }

  async sweep(): Promise<string[]> {
    return [];
  }
}

function infoOf(path: string, { bytes, modified }: Held): ObjectInfo {
  return { path, bytes: bytes.length, modified };
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer, undefined> {
  if (bytes.length > 0) yield bytes;
}
