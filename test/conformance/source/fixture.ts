import assert from 'node:assert/strict';
import type { DatabaseInfo, Dump, RestoreTarget, SourceDriver } from '../../../lib/sources/driver.ts';
import { childProcesses } from '../../support/child-processes.ts';

export interface SourceFixture {
  readonly name: string;
  /** How long starting may take, in ms; two minutes when absent. */
  readonly startMs?: number;
  /** Starts the database system, if there is one, with at least two databases of at least 3 MB. */
  open(): Promise<OpenSource>;
}

export interface OpenSource {
  readonly driver: SourceDriver;
  /** A database that the driver would accept if it were there. */
  readonly missing: DatabaseInfo;
  /** Text that must not appear in any message: passwords. */
  readonly secrets: readonly string[];
  /** A place for a restored database, where nothing is yet. */
  emptyTarget(): RestoreTarget;
  /** A place that holds a small other database, which may be replaced. */
  usedTarget(): Promise<UsedTarget>;
  /** Throws an AssertionError when the restored database differs from the original in anything. */
  compare(original: DatabaseInfo, restored: RestoreTarget): Promise<void>;
  /** Changes the database while dumps run, until the returned function is called. */
  keepWriting(database: DatabaseInfo): Promise<() => Promise<void>>;
  /** Throws an AssertionError when the restored database is not one moment of the one being written. */
  requireConsistent(restored: RestoreTarget): Promise<void>;
  /** Temporary files and connections that the driver has open now; empty when it does nothing. */
  traces(): Promise<string[]>;
  close(): Promise<void>;
}

export interface UsedTarget {
  readonly target: RestoreTarget;
  /** Throws an AssertionError when anything of the database there has changed. */
  requireUntouched(): Promise<void>;
}

/** The open source of the tests, and what must be gone after each of them. */
export class SourceHarness {
  readonly #fixture: SourceFixture;
  #open: OpenSource | undefined;
  #children: number[] = [];
  readonly #unhandled: unknown[] = [];
  readonly #onUnhandled = (reason: unknown): void => {
    this.#unhandled.push(reason);
  };

  constructor(fixture: SourceFixture) {
    this.#fixture = fixture;
  }

  get world(): OpenSource {
    if (this.#open === undefined) throw new Error('The source was not opened');
    return this.#open;
  }

  get source(): SourceDriver {
    return this.world.driver;
  }

  async open(): Promise<void> {
    this.#open = await this.#fixture.open();
  }

  async close(): Promise<void> {
    await this.#open?.close();
  }

  expectNothingLeft(): void {
    this.#children = childProcesses();
    this.#unhandled.length = 0;
    process.on('unhandledRejection', this.#onUnhandled);
  }

  async requireNothingLeft(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', this.#onUnhandled);
    assert.deepEqual(this.#unhandled, [], 'a rejection was not handled');
    const left = childProcesses().filter((pid) => !this.#children.includes(pid));
    assert.deepEqual(left, [], 'a child process was left behind');
    assert.deepEqual(await this.world.traces(), [], 'temporary files were left behind');
  }

  /** Child processes that were started since the test began. */
  newChildren(): number[] {
    return childProcesses().filter((pid) => !this.#children.includes(pid));
  }

  async firstDatabase(): Promise<DatabaseInfo> {
    const [database] = await this.source.listDatabases(running());
    assert.ok(database !== undefined, 'the source has no database');
    return database;
  }

  async dumpFirst(signal = running()): Promise<Dump> {
    return await this.source.dump(await this.firstDatabase(), signal);
  }
}

/** A signal that nobody aborts. */
export function running(): AbortSignal {
  return new AbortController().signal;
}

/** Reads a dump to its end and returns its bytes. */
export async function bytesOf(dump: Dump): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of dump.stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
