import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { POSTGRES_FORMATS } from '../../lib/sources/postgres/options.ts';
import {
  comparePortraits,
  type Portrait,
  portrait,
  requireBalanced,
  TransferWriter,
} from '../fixtures/postgres-compare.ts';
import { createHurtful, HURTFUL_ROLES } from '../fixtures/postgres-hurtful.ts';
import { ACCOUNTS, BALANCE } from '../fixtures/postgres-hurtful-data.ts';
import { startPostgres, type TestPostgres } from '../servers/postgres.ts';
import { localFolder } from './engine-run.ts';
import { backUp, databasesOf, putBack, type StoredDump } from './postgres-backup.ts';
import { testRestoreOf } from './test-restores.ts';

/** What one test may take on a slow machine: 80 MB are dumped, restored and read twice. */
export const FIDELITY_MS = 10 * 60_000;

export interface Way {
  readonly format: (typeof POSTGRES_FORMATS)[number];
  readonly jobs: number;
}

/** Every way in which a database is dumped and restored. */
export const WAYS: readonly Way[] = [
  { format: 'custom', jobs: 1 },
  { format: 'custom', jobs: 4 },
  { format: 'plain', jobs: 1 },
  { format: 'tar', jobs: 1 },
];

const NAME = `It's "100%" = \\ Ünï😀`;
/** The writer changes these meanwhile. */
const UNSTEADY = ['public.accounts', 'public.transfers', 'public.transfers_id_seq'];

/** A server with the hurtful database. */
export class FidelityServer {
  readonly server: TestPostgres;
  readonly #dumps = new Map<string, StoredDump>();
  readonly #folder: Awaited<ReturnType<typeof localFolder>>;
  readonly #spool: string;
  #portrait: Portrait | undefined;

  private constructor(server: TestPostgres, folder: Awaited<ReturnType<typeof localFolder>>, spool: string) {
    this.server = server;
    this.#folder = folder;
    this.#spool = spool;
  }

  static async start(major: 15 | 17): Promise<FidelityServer> {
    const server = await startPostgres({ major });
    try {
      await server.query(HURTFUL_ROLES);
      await createHurtful(server, NAME);
      const writer = await TransferWriter.start(server, NAME, ACCOUNTS);
      await writer.reach(50);
      await writer.stop();
      const spool = await mkdtemp(join(tmpdir(), 'dbackup-postgres-spool-'));
      return new FidelityServer(server, await localFolder(), spool);
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  /** What the original is like, but for what is being written. */
  async portrait(): Promise<Portrait> {
    this.#portrait ??= await portrait(this.server, NAME, { unsteady: UNSTEADY });
    return this.#portrait;
  }

  /** A dump that was made while transfers were. */
  async dump(format: Way['format']): Promise<StoredDump> {
    const before = this.#dumps.get(format);
    if (before !== undefined) return before;
    const writer = await TransferWriter.start(this.server, NAME, ACCOUNTS);
    try {
      const dump = await backUp(this.server, NAME, this.#folder.driver, format);
      this.#dumps.set(format, dump);
      return dump;
    } finally {
      assert.ok((await writer.stop()) > 10, 'the writer had no turn');
    }
  }

  /** Restores a dump here, compares the restored database with what it must be like, and drops it. */
  async take(dump: StoredDump, { format, jobs }: Way, expected: Portrait): Promise<void> {
    const { server } = this;
    const before = await databasesOf(server);
    const restored = `restored ${format} ${jobs}`;
    const report = await putBack(server.settings, dump, restored, { jobs, spoolDirectory: this.#spool });
    assert.equal(report.proof.facts.tables, 26);
    assert.deepEqual(await databasesOf(server), [...before, restored].sort());
    assert.deepEqual(await readdir(this.#spool), []);
    const found = await portrait(server, restored, { unsteady: UNSTEADY });
    // A script says nothing about the database itself.
    const { properties } = format === 'plain' ? expected : found;
    comparePortraits({ ...found, properties }, expected);
    const { transfers } = await requireBalanced(server, restored, BALANCE);
    assert.ok(transfers >= 50, `${transfers} transfers`);
    await server.query('DROP SUBSCRIPTION sleeping', restored);
    await server.query(`DROP DATABASE "${restored}"`);
  }

  /** Restores a dump for a test, which finds as many rows as were dumped, and leaves nothing. */
  async test({ set }: StoredDump): Promise<void> {
    const { server } = this;
    const before = await databasesOf(server);
    const report = await testRestoreOf(
      { server: { kind: 'postgres', server: server.settings }, folder: '' },
      set,
    );
    assert.deepEqual(
      report.artifacts.map(({ error }) => error?.message),
      [undefined],
    );
    assert.match(report.artifacts[0]?.found ?? '', /^restored, \d+ rows in \d+ tables as dumped$/);
    assert.deepEqual(await databasesOf(server), before);
  }

  async stop(): Promise<void> {
    await this.server.stop();
    await this.#folder.remove();
    await rm(this.#spool, { recursive: true });
  }
}
