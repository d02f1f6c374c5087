import type { DestinationDriver, ObjectInfo } from '../../lib/destinations/driver.ts';
import { BackupError } from '../../lib/errors.ts';

/** What a sweep asks a storage for. */
export type Asked = 'list' | 'stat' | 'remove' | 'unfinished' | 'sweep';

/** A storage that is a list of objects: for what is decided from listings, without bytes. */
export class ListedDestination implements DestinationDriver {
  readonly kind = 'listed';
  readonly properties = { ranges: false, atomicReplace: true, concurrency: 1 };
  readonly objects = new Map<string, ObjectInfo>();
  readonly uploads = new Map<string, ObjectInfo>();
  /** Everything that was asked, in order. */
  readonly asked: string[] = [];
  /** Told before each answer; what it throws is the answer. */
  before: (asked: Asked, path: string) => void = () => undefined;

  put(path: string, modified: Date, bytes = 10): void {
    this.objects.set(path, { path, bytes, modified });
  }

  describe = () => 'listed:///';
  probe = refuse;
  write = refuse;
  read = refuse;

  async *list(prefix: string): AsyncGenerator<ObjectInfo, void> {
    this.#ask('list', prefix);
    for (const object of [...this.objects.values()]) if (isBelow(object.path, prefix)) yield object;
  }

  async *unfinished(prefix: string): AsyncGenerator<ObjectInfo, void> {
    this.#ask('unfinished', prefix);
    for (const upload of [...this.uploads.values()]) if (isBelow(upload.path, prefix)) yield upload;
  }

  async stat(path: string): Promise<ObjectInfo | undefined> {
    this.#ask('stat', path);
    return this.objects.get(path);
  }

  async remove(path: string): Promise<void> {
    this.#ask('remove', path);
    this.objects.delete(path);
  }

  async sweep(
    olderThan: Date,
    _signal: AbortSignal,
    isOurs: (path: string) => boolean = () => true,
  ): Promise<string[]> {
    this.#ask('sweep', '');
    const old = [...this.uploads.values()].filter(
      ({ path, modified }) => modified < olderThan && isOurs(path),
    );
    for (const { path } of old) this.uploads.delete(path);
    return old.map(({ path }) => path);
  }

  #ask(asked: Asked, path: string): void {
    this.asked.push(`${asked} ${path}`);
    this.before(asked, path);
  }
}

function isBelow(path: string, folder: string): boolean {
  return folder === '' || path.startsWith(`${folder}/`);
}

async function refuse(): Promise<never> {
  throw new BackupError('internal', 'A listed destination holds no bytes');
}
