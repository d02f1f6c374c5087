import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSampleDatabase } from '../../demo/sample-database.ts';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { createFtpDestination } from '../../lib/destinations/ftp/ftp.ts';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import { createWebdavDestination } from '../../lib/destinations/webdav/webdav.ts';
import type { RunNeeds } from '../../lib/plan/needs.ts';
import { verifySet } from '../../lib/restore/verify.ts';
import { type RunResult, SpareDestinationError } from '../../lib/runs/outcome.ts';
import type { SourceDriver } from '../../lib/sources/driver.ts';
import { createSqliteSource } from '../../lib/sources/sqlite/sqlite-source.ts';
import { createCompress } from '../../lib/transforms/compress.ts';
import { createEncrypt } from '../../lib/transforms/encrypt.ts';
import { TestApache } from '../servers/apache.ts';
import { TestProftpd } from '../servers/proftpd.ts';
import { TestProxy } from '../servers/proxy.ts';
import { type EngineRun, filesBelow, runEngine, TestClock } from '../support/engine-run.ts';
import { mountSmallDisk, type SmallDisk } from '../support/small-disk.ts';
import { until } from '../support/until.ts';

const MB = 1_000_000;
const signal = new AbortController().signal;
const vaultKey = randomBytes(32);
const keys = { vaultKey: async () => vaultKey, passphrases: [], ageIdentities: [] };
/** Less than the large database needs, and more than the small one. */
const ROOM = 3 * MB;

/** What one of the storages does during a run. */
interface Troubles {
  /** The WebDAV server is gone in the middle of the large database, and back after so many pauses. */
  readonly backAfter: number;
  /** The disk that runs full has room again after so many pauses; never when absent. */
  readonly roomAfter?: number;
  readonly needs?: RunNeeds;
  /** All of them when absent. */
  readonly only?: Name;
}

type Name = 'ftp' | 'webdav' | 'disk';

describe('fan-out: a slow destination, one that breaks, and one that fills up', function () {
  this.timeout(240_000);
  let ftp: TestProftpd;
  let apache: TestApache;
  let proxy: TestProxy;
  let disk: SmallDisk;
  let folder: string;
  let databases: string[];
  let run = 0;

  before(async function () {
    disk = await mountSmallDisk(this, 'size=40m');
    [ftp, apache] = await Promise.all([TestProftpd.start({ security: 'plain' }), TestApache.start()]);
    folder = await mkdtemp(join(tmpdir(), 'dbackup-fan-out-'));
    databases = ['small', 'large'].map((name) => join(folder, `${name}.sqlite`));
    for (const [index, file] of databases.entries()) createSampleDatabase(file, index === 0 ? MB : 16 * MB);
  });

  after(async () => {
    await Promise.all([ftp?.stop(), apache?.stop(), disk?.unmount()]);
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  beforeEach(async () => {
    run += 1;
    proxy = await TestProxy.start(apache);
    mkdirSync(place('disk'), { recursive: true });
  });

  afterEach(async () => {
    await proxy.close();
    rmSync(filler(), { force: true });
    rmSync(place('disk'), { recursive: true, force: true });
  });

  const filler = () => join(disk.path, 'filler');
  const place = (name: Name) => {
    const roots = { ftp: ftp.home, webdav: apache.root, disk: disk.path };
    return join(roots[name], `run-${run}`);
  };
  const drivers = () => ({
    ftp: createFtpDestination({ ...ftp.settings, root: `run-${run}`, create: true }),
    webdav: createWebdavDestination({
      ...apache.settings,
      url: `http://127.0.0.1:${proxy.port}/dav/run-${run}`,
      create: true,
    }),
    disk: createLocalDestination({ root: place('disk'), reserveMiB: 0 }),
  });

  /** Leaves so many bytes on the disk. */
  function fillUpTo(room: number): void {
    const { bavail, bsize } = statfsSync(disk.path);
    writeFileSync(filler(), Buffer.alloc(Math.max(0, bavail * bsize - room)));
  }

  /** Counts how often each database is dumped. */
  function countedSource(dumps: string[], onDump: (name: string) => void): SourceDriver {
    const source = createSqliteSource({ files: databases, method: 'backup', spoolDirectory: folder });
    return {
      kind: source.kind,
      describe: () => source.describe(),
      probe: (stop) => source.probe(stop),
      listDatabases: (stop) => source.listDatabases(stop),
      dump: (database, stop) => {
        dumps.push(database.name);
        onDump(database.name);
        return source.dump(database, stop);
      },
    };
  }

  interface Backup extends EngineRun {
    readonly to: ReturnType<typeof drivers>;
    readonly dumps: readonly string[];
    readonly clock: TestClock;
  }

  async function backUp(troubles: Troubles): Promise<Backup> {
    const { backAfter, roomAfter = Number.POSITIVE_INFINITY, needs, only } = troubles;
    const to = drivers();
    fillUpTo(ROOM);
    const clock = new TestClock();
    let pauses = 0;
    clock.onPause = () => {
      pauses += 1;
      if (pauses === backAfter) proxy.accepts = 'pass';
      if (pauses === roomAfter) rmSync(filler());
    };
    const dumps: string[] = [];
    const source = countedSource(dumps, (name) => {
      if (name.startsWith('large') && dumps.length === 2) breakInTheMiddle();
    });
    const steps = [
      { node: 'zstd', transform: createCompress({ algorithm: 'zstd', level: 1 }) },
      {
        node: 'encrypt',
        transform: createEncrypt({ type: 'vault', id: 'k1', version: 1, key: vaultKey }, { format: 'dbk' }),
      },
    ];
    const branches = [
      { to: to.ftp, name: 'ftp', steps, bytesPerSecond: 4 * MB },
      { to: to.webdav, name: 'webdav', steps },
      { to: to.disk, name: 'disk', steps },
    ].filter(({ name }) => only === undefined || name === only);
    const done = await runEngine(source, branches, { clock, ...(needs === undefined ? {} : { needs }) });
    return { ...done, to, dumps, clock };
  }

  /** The connection breaks after the first MB, and nobody answers any more. */
  function breakInTheMiddle(): void {
    const reset = proxy.reset.bind(proxy);
    proxy.reset = () => {
      proxy.accepts = 'reset';
      reset();
    };
    proxy.after(MB, 'reset', 'client');
  }

  /** The set is there, holds to the last byte, and nothing else is in that storage. */
  async function assertWhole(driver: DestinationDriver, root: string): Promise<void> {
    const { sets, unreadable } = await listBackupSets(driver, { prefix: 'sets', signal });
    assert.deepEqual([sets.length, unreadable], [1, []]);
    for (const set of sets) {
      const report = await verifySet({ set, level: 'content', keys, signal });
      assert.ok(report.ok, report.artifacts.map(({ error }) => error?.message).join());
    }
    const names = async () => (await filesBelow(root)).map((file) => file.replace(/^.*\//, ''));
    // Beside those that were verified.
    const notes = 'annotations.json';
    // What the server took before it was gone is removed by a sweep, or by its driver in the background.
    await until(async () => {
      await driver.sweep(new Date(Date.now() + 3_600_000), signal);
      return (await names()).every((name) => !name.startsWith('.'));
    }, 120_000);
    assert.deepEqual(
      (await names()).filter((name) => name !== notes),
      [
        'RESTORE.md',
        'SHA256SUMS',
        'SHA256SUMS.decoded',
        'large.sqlite.zst.dbk',
        'manifest.json',
        'small.sqlite.zst.dbk',
      ],
    );
  }

  async function assertEqual(names: readonly Name[]): Promise<void> {
    const [first = 'ftp', ...others] = names;
    const files = await filesBelow(place(first));
    for (const other of others) {
      assert.deepEqual(await filesBelow(place(other)), files);
      for (const file of files) {
        const same = readFileSync(join(place(first), file)).equals(readFileSync(join(place(other), file)));
        assert.ok(same, `${file} differs at ${other}`);
      }
    }
  }

  const errorsOf = ({ destinations }: RunResult) => destinations.map(({ error }) => error?.code);

  it('stores at all of them in the end, from one dump, when what has failed comes back', async () => {
    const { result, notices, to, dumps, clock } = await backUp({ backAfter: 20, roomAfter: 4 });
    assert.equal(result.state, 'succeeded', String(result.destinations.map(({ error }) => error?.message)));
    assert.deepEqual(dumps, ['small.sqlite', 'large.sqlite']);
    assert.deepEqual(
      result.destinations.map(({ set }) => set?.healed),
      [false, true, true],
    );
    const [, webdav, full] = result.destinations;
    assert.ok((webdav?.attempts ?? 0) > 2, 'the server was not back for the second attempt');
    assert.equal(full?.attempts, 2);
    assert.ok(clock.pauses.length >= 20);
    const told = notices.map(({ message }) => message).join('\n');
    assert.match(told, /webdav dropped out: /);
    assert.match(told, /disk dropped out: .*full/);
    assert.match(told, /webdav gets a copy from (ftp|disk): attempt 3 of 5/);
    assert.match(told, /webdav was healed by copying from (ftp|disk)/);
    await assertWhole(to.ftp, place('ftp'));
    await assertWhole(to.webdav, place('webdav'));
    await assertWhole(to.disk, place('disk'));
    await assertEqual(['ftp', 'webdav', 'disk']);
  });

  it('dumps again what its only destination has lost, and nothing else', async () => {
    const { result, to, dumps } = await backUp({ backAfter: 4, only: 'webdav' });
    assert.equal(result.state, 'succeeded', String(result.destinations[0]?.error));
    assert.deepEqual(dumps, ['small.sqlite', 'large.sqlite', 'large.sqlite']);
    await assertWhole(to.webdav, place('webdav'));
  });

  it('is partial when one of them stays full, and leaves nothing there', async () => {
    const { result, to, dumps } = await backUp({ backAfter: 4 });
    assert.equal(result.state, 'partial');
    assert.deepEqual(errorsOf(result), [undefined, undefined, 'no-space']);
    assert.match(result.destinations[2]?.error?.message ?? '', /Copying from (ftp|webdav) failed too/);
    assert.deepEqual(dumps, ['small.sqlite', 'large.sqlite']);
    assert.deepEqual(await filesBelow(place('disk')), []);
    await assertWhole(to.ftp, place('ftp'));
    await assertWhole(to.webdav, place('webdav'));
    await assertEqual(['ftp', 'webdav']);
  });

  it('succeeds with one of them where any one is enough, and warns of the others', async () => {
    const needs = { destinations: 'any' } as const;
    const { result, outcomes, notices, to } = await backUp({ backAfter: Number.POSITIVE_INFINITY, needs });
    assert.equal(result.state, 'succeeded');
    assert.deepEqual(errorsOf(result), [undefined, 'unavailable', 'no-space']);
    for (const name of ['webdav', 'disk']) {
      const outcome = outcomes.get(name);
      assert.ok(outcome?.status === 'rejected' && outcome.reason instanceof SpareDestinationError);
      const warned = new RegExp(`^${name} failed, and the run does without it`);
      assert.ok(notices.some(({ level, message }) => level === 'warn' && warned.test(message)));
    }
    await assertWhole(to.ftp, place('ftp'));
    assert.deepEqual(await filesBelow(place('disk')), []);
  });

  it('succeeds with two that hold where two verified copies are needed', async () => {
    const needs = { destinations: 'copies', copies: 2 } as const;
    const { result, to } = await backUp({ backAfter: 4, needs });
    assert.equal(result.state, 'succeeded');
    assert.deepEqual(
      result.destinations.map(({ verified }) => verified),
      [true, true, undefined],
    );
    assert.deepEqual(errorsOf(result), [undefined, undefined, 'no-space']);
    await assertWhole(to.ftp, place('ftp'));
    await assertWhole(to.webdav, place('webdav'));
  });

  it('is partial with two that hold where three verified copies are needed', async () => {
    const needs = { destinations: 'copies', copies: 3 } as const;
    const { result } = await backUp({ backAfter: 4, needs });
    assert.equal(result.state, 'partial');
    assert.deepEqual(
      result.destinations.map(({ verified }) => verified),
      [true, true, undefined],
    );
  });
});
