import assert from 'node:assert/strict';
import type { ByteStream } from '../../../lib/bytes/stream.ts';
import type {
  DestinationDriver,
  ObjectInfo,
  PendingObject,
  WriteOptions,
} from '../../../lib/destinations/driver.ts';
import { BackupError, type ErrorCode } from '../../../lib/errors.ts';
import { collect, cut } from '../../support/byte-streams.ts';

/** A destination as the conformance suite sees it: what a driver's test file fills in. */
export interface DestinationFixture {
  /** Title of the suite: `local`, `s3 on ceph`. */
  readonly name: string;
  /** Starts the server, once. */
  start?(): Promise<void>;
  stop?(): Promise<void>;
  /** How long `start` may take, in milliseconds; default two minutes. */
  readonly startMs?: number;
  /** Opens a fresh, empty root of its own; called for every test. */
  open(): Promise<OpenStorage>;
  /** Size of the large object, in bytes; default 256 MiB. */
  readonly largeObjectBytes?: number;
  /** Objects in the listing test; default 5 000. */
  readonly listedObjects?: number;
  /** What the storage cannot do: its tests are left out, and the driver's properties must say the same. */
  readonly lacks?: readonly Feature[];
  /** The same driver on storages that do not work. */
  readonly broken: readonly BrokenStorage[];
  /** How long a trickling stream pauses, in milliseconds; default 1 500. */
  readonly idleMs?: number;
}

export interface OpenStorage {
  readonly driver: DestinationDriver;
  /** A second driver on the same root, as another process would have. */
  again(): DestinationDriver;
  /** Everything that lies in the storage: objects, folders, temporary names, open uploads. */
  traces(): Promise<string[]>;
  /** Leaves at `path` what a writer leaves whose process was killed half-way. */
  dieWriting(path: string): Promise<void>;
  /** Puts an object there without the driver, when that is quicker: for the listing of thousands. */
  plant?(path: string, content: Buffer): Promise<void>;
  close(): Promise<void>;
}

export type Feature = 'ranges' | 'atomic replace' | 'free space';

export interface BrokenStorage {
  /** What is wrong: `the root is missing`. */
  readonly name: string;
  open(): Promise<{ driver: DestinationDriver; close?(): Promise<void> }>;
  readonly code: ErrorCode;
  /** What the message must say, the place included. */
  readonly message: RegExp;
  /** Operations that fail; default all of them. */
  readonly fails?: readonly Operation[];
}

export type Operation = 'probe' | 'write' | 'read' | 'list' | 'stat' | 'remove' | 'sweep';

/** The storage of the test that runs now, with the few operations that every test needs. */
export class Harness {
  readonly fixture: DestinationFixture;
  #storage: OpenStorage | undefined;

  constructor(fixture: DestinationFixture) {
    this.fixture = fixture;
  }

  async open(): Promise<void> {
    this.#storage = await this.fixture.open();
  }

  async close(): Promise<void> {
    await this.#storage?.close();
    this.#storage = undefined;
  }

  get storage(): OpenStorage {
    assert.ok(this.#storage, 'the storage of this test is open');
    return this.#storage;
  }

  has(feature: Feature): boolean {
    return !(this.fixture.lacks ?? []).includes(feature);
  }

  get driver(): DestinationDriver {
    return this.storage.driver;
  }

  /** Writes without committing. */
  async write(
    path: string,
    content: Buffer | ByteStream,
    options: Partial<WriteOptions> = {},
  ): Promise<PendingObject> {
    const stream = Buffer.isBuffer(content) ? cut(content, 70_000) : content;
    return await this.driver.write(path, stream, { signal: never, ...options });
  }

  async put(path: string, content: Buffer, options: Partial<WriteOptions> = {}): Promise<void> {
    const pending = await this.write(path, content, options);
    await pending.commit();
  }

  async get(path: string, range?: { start: number; end?: number }): Promise<Buffer> {
    const options = range === undefined ? { signal: never } : { signal: never, range };
    return await collect(await this.driver.read(path, options));
  }

  async list(prefix = ''): Promise<ObjectInfo[]> {
    const found: ObjectInfo[] = [];
    for await (const object of this.driver.list(prefix, never)) found.push(object);
    return found;
  }

  async paths(prefix = ''): Promise<string[]> {
    return (await this.list(prefix)).map(({ path }) => path).sort();
  }
}

export const never: AbortSignal = new AbortController().signal;

/** Asserts that the work fails with a BackupError of that code, and returns it. */
export async function rejectsWith(work: Promise<unknown>, ...codes: ErrorCode[]): Promise<BackupError> {
  const error = await work.then(
    () => assert.fail(`expected ${codes.join(' or ')}, but it succeeded`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof BackupError, `expected a BackupError, got ${String(error)}`);
  assert.ok(
    codes.includes(error.code),
    `expected ${codes.join(' or ')}, got ${error.code}: ${error.message}`,
  );
  return error;
}

/** A stream that gives `first` and then nothing more, until it is told to end. */
export function hangingStream(first: Buffer): {
  stream: ByteStream;
  ended: () => boolean;
  reached: Promise<void>;
} {
  let ended = false;
  let release = (): void => {};
  let reach = (): void => {};
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let given = false;
  const stream: ByteStream = {
    [Symbol.asyncIterator]: () => ({
      next: async () => {
        if (!given) {
          given = true;
          return { done: false, value: first };
        }
        reach();
        await released;
        return { done: true, value: undefined };
      },
      return: async () => {
        ended = true;
        release();
        return { done: true, value: undefined };
      },
    }),
  };
  return { stream, ended: () => ended, reached };
}
