import type { ByteStream } from '../bytes/stream.ts';

/**
 * The destination port. Paths are relative to the storage's root, use `/`, and never start with it
 * or hold `..`; a driver refuses others with `invalid-config`. Errors are BackupErrors and carry
 * `transient`; a failed listing is an error, never an empty list.
 */
export interface DestinationDriver {
  /** Stable name of the storage kind: `local`, `s3`. */
  readonly kind: string;
  /** Where it is, for people and manifests, without secrets: `file:///backups`. */
  describe(): string;
  readonly properties: DestinationProperties;
  /** Writes, reads back, lists and deletes a small object under the root; throws what is wrong. */
  probe(signal: AbortSignal): Promise<DestinationProbe>;
  /**
   * Transfers all bytes to where they are not yet visible. Resolves when the storage holds them all;
   * rejects (and leaves nothing behind) when the stream, the storage or the signal fails.
   */
  write(path: string, bytes: ByteStream, options: WriteOptions): Promise<PendingObject>;
  /** @throws BackupError `not-found` when there is no such object */
  read(path: string, options: ReadOptions): Promise<ByteStream>;
  /** Every committed object whose path starts with the folder `prefix` (all when empty), in any order, all pages. */
  list(prefix: string, signal: AbortSignal): AsyncIterable<ObjectInfo>;
  /** Undefined when there is no such object. */
  stat(path: string, signal: AbortSignal): Promise<ObjectInfo | undefined>;
  /** Removes one object (and folders that become empty); no error when it is gone already. */
  remove(path: string, signal: AbortSignal): Promise<void>;
  /**
   * What keeps an object from being removed for good; undefined when nothing does. A removal before that would only
   * hide it. Absent where storages know no locks.
   */
  lockOf?(path: string, signal: AbortSignal): Promise<ObjectLock | undefined>;
  /** Free bytes, when the storage can tell. */
  freeSpace?(signal: AbortSignal): Promise<number | undefined>;
  /**
   * Removes leftovers of dead writes (temp files, open uploads) older than that; returns their names.
   * @param isOurs asked about the path of the object where an unfinished write does not show whose it is, as an
   *   open upload of S3: others may upload to the same bucket. All are ours without it.
   */
  sweep(olderThan: Date, signal: AbortSignal, isOurs?: (path: string) => boolean): Promise<string[]>;
  /**
   * What such a sweep would find below the folder `prefix`, of any age and whoever writes it, with the time at
   * which its latest bytes came. Absent where the storage cannot tell.
   */
  unfinished?(prefix: string, signal: AbortSignal): AsyncIterable<ObjectInfo>;
}

export interface ObjectLock {
  /** Absent: until a person lifts it. */
  readonly until?: Date;
}

export interface DestinationProperties {
  /** `read` honours a range without transferring the rest. */
  readonly ranges: boolean;
  /** `write` with `replace` swaps the old content for the new one atomically. */
  readonly atomicReplace: boolean;
  /** Objects that may be written at once. */
  readonly concurrency: number;
}

export interface DestinationProbe {
  readonly summary: string;
  readonly freeBytes?: number;
}

export interface WriteOptions {
  readonly signal: AbortSignal;
  /** Lower bound of the size when known: refused up front when the free space cannot take it. */
  readonly expectedBytes?: number;
  /** Allow replacing an existing object; without it an existing path is `already-exists`. */
  readonly replace?: boolean;
  /**
   * Called again and again while the storage moves bytes that were taken before, as rsync does when it has the whole
   * stream: who waits need not take it for a storage that hangs.
   */
  readonly onActivity?: (() => void) | undefined;
}

export interface ReadOptions {
  readonly signal: AbortSignal;
  /** Bytes `start` (inclusive) to `end` (exclusive; to the end when absent). */
  readonly range?: { readonly start: number; readonly end?: number };
  /** Called again and again while the storage fetches bytes before it gives the first of them. */
  readonly onActivity?: (() => void) | undefined;
}

/** A transferred object that is not visible yet. Exactly one of the two is called. */
export interface PendingObject {
  /** Bytes that the storage holds. */
  readonly bytes: number;
  /** Makes the object visible, atomically and durably. Resolves only when the storage acknowledged. */
  commit(): Promise<void>;
  /** Removes every trace; safe to call twice and after a failure. */
  abort(): Promise<void>;
}

export interface ObjectInfo {
  readonly path: string;
  readonly bytes: number;
  readonly modified: Date;
}
