import assert from 'node:assert/strict';
import { join } from 'node:path';
import fc from 'fast-check';
import { createSampleDatabase } from '../../demo/sample-database.ts';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import { EMPTY_KEY_RING } from '../../lib/keys/keys.ts';
import { verifySet } from '../../lib/restore/verify.ts';
import type { FlowEntry } from '../../runner/runtime.ts';
import { Random } from '../fixtures/random.ts';
import { KILLED_STORAGES, type KilledStorage, nodesOf } from '../support/killed-storages.ts';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { dbackup, eventsOf, RunnerProcess } from '../support/runner-process.ts';
import { processesWithTemp } from '../support/runner-traces.ts';
import { skipBecause } from '../support/skip.ts';
import { until } from '../support/until.ts';

const PATIENCE_MS = 120_000;
/** Hours after which the last start sweeps: less than a second. */
const SHORT = '0.0001';
const UNFINISHED = /(\.partial| \(upload .*\))$/;
const SET_FOLDER = /^shop\/\d{8}T\d{6}Z_[0-9a-f]{8}\//;

const signal = new AbortController().signal;
const seed = fc.readConfigureGlobal()?.seed ?? 1;

/**
 * One flow stores at all storages at once, each behind a gate. A gate that is shut after so many bytes keeps the
 * run where it is until it is killed, so that nothing here depends on how fast the machine is.
 */
describe(`dbackup run, killed with SIGKILL while storages wait (seed ${seed})`, function () {
  this.timeout(600_000);
  const random = new Random(seed);
  const storages: KilledStorage[] = [];
  /** How many bytes a whole run sends through each gate. */
  const usual = new Map<string, number>();
  /** Sets that were found whole, and thus stay. */
  const whole = new Set<string>();
  /** How many runs were killed before they ended. */
  let killed = 0;
  let work: RunnerWorkspace;
  let flow: string;

  before(async () => {
    work = new RunnerWorkspace(7_500_000);
    createSampleDatabase(join(work.root, 'small.sqlite'), 100_000);
    const starting = await Promise.allSettled(KILLED_STORAGES.map((start) => start(work.root)));
    for (const started of starting) if (started.status === 'fulfilled') storages.push(started.value);
    for (const started of starting) if (started.status === 'rejected') throw started.reason;
    flow = work.write('storages.json', flowOf(work, storages));
    work.write(
      'storages_cred.json',
      Object.fromEntries(storages.map(({ kind, secrets }) => [`${kind}-storage`, secrets])),
    );
    await run();
    for (const { kind, gate } of storages) if (gate !== undefined) usual.set(kind, gate.passed);
    for (const storage of storages) await assertOnlyWholeSets(storage);
  });

  after(async () => {
    await Promise.all(storages.map((storage) => storage.stop()));
    work.remove();
  });

  for (const [kind, middle] of [
    ['ftp', 0.5],
    ['webdav', 0.5],
    ['sftp', 0.5],
    ['s3', 0.6],
    ['smb', 0.5],
  ] as const) {
    const any = random.next();
    const when = [any, middle].map((share) => `${(100 * share).toFixed(1)} %`).join(', then ');
    it(`at ${when} of what ${kind} gets: lists whole sets only, and stores the next one`, async function () {
      if (!storages.some((storage) => storage.kind === kind)) skipBecause(this, `${kind} needs root`);
      await killedRun(kind, any);
      for (const storage of storages) await assertOnlyWholeSets(storage);
      await killedRun(kind, middle);
      for (const storage of storages) await assertOnlyWholeSets(storage);
      const orphans = await filesOfOrphans();
      await run();
      assert.deepEqual(await filesOfOrphans(), orphans, 'they wait until their time has come');
      for (const storage of storages) await assertOnlyWholeSets(storage);
    });
  }

  it('leaves what the next start removes, once it is old enough, and nothing of others with it', async () => {
    assert.ok(killed >= 4, `${killed} runs were killed before their end`);
    const expected = new Map<string, string[]>();
    for (const storage of storages) expected.set(storage.kind, await plantForeignFiles(storage));
    const planted = Date.now();
    // Storages tell times to the second.
    await until(() => Date.now() - planted > 2_500, PATIENCE_MS);
    const { stdout } = await run({ DBACKUP_SWEEP_AFTER_HOURS: SHORT });
    for (const storage of storages) {
      const { kind } = storage;
      const traces = await storage.traces();
      const others = traces.filter((path) => !isOfWholeSet(kind, path));
      const fresh = await newSet(storage);
      assert.deepEqual(
        others.filter((path) => !path.startsWith(`${fresh}/`)),
        expected.get(kind),
        `${kind}\n${stdout}`,
      );
      await assertOnlyWholeSets(storage);
      const told = eventsOf(stdout).filter(({ node, message }) => {
        return (
          node === `to-${kind}` && /^Removed from .* what interrupted runs had left/.test(String(message))
        );
      });
      assert.ok(told.length > 0, `${kind} says what it has removed`);
    }
  });

  async function run(env: NodeJS.ProcessEnv = {}): Promise<{ stdout: string }> {
    const finished = await dbackup(['run', flow, '--json'], { env: work.env(env) });
    assert.equal(finished.code, 0, finished.stdout + finished.stderr);
    return finished;
  }

  /** Kills a run when that storage has got so much of what a whole run sends. */
  async function killedRun(kind: string, share: number): Promise<void> {
    const gate = storages.find((storage) => storage.kind === kind)?.gate;
    assert.ok(gate);
    const shut = gate.shutAfter(Math.max(1, Math.floor(share * (usual.get(kind) ?? 0))));
    const runner = new RunnerProcess(['run', flow, '--json'], { env: work.env() });
    await Promise.race([shut, runner.finished]);
    runner.kill('SIGKILL');
    const { stdout, stderr, code } = await runner.finished;
    gate.open();
    await until(() => processesWithTemp(work.temp).length === 0, PATIENCE_MS);
    // What it sends differs by some bytes from run to run: it may have come to its end.
    if (eventsOf(stdout).some(({ event }) => event === 'run-finished')) return;
    assert.equal(code, null, stdout + stderr);
    killed += 1;
  }

  /** Looks at the content of sets that are new. */
  async function assertOnlyWholeSets({ kind, driver }: KilledStorage): Promise<void> {
    const { sets, unreadable } = await listBackupSets(driver, { prefix: '', signal });
    assert.deepEqual(
      unreadable.map(({ path, error }) => `${path}: ${error.message}`),
      [],
    );
    for (const set of sets) {
      if (whole.has(`${kind} ${set.path}`)) continue;
      const { ok, artifacts } = await verifySet({ set, level: 'content', keys: EMPTY_KEY_RING, signal });
      assert.ok(ok, `${kind} ${set.path}: ${artifacts.map(({ error }) => error?.message)}`);
      whole.add(`${kind} ${set.path}`);
    }
    const known = [...whole].filter((set) => set.startsWith(`${kind} `));
    assert.equal(sets.length, known.length, `${kind} has lost a set`);
  }

  function isOfWholeSet(kind: string, path: string): boolean {
    return whole.has(`${kind} ${path.split('/').slice(0, 2).join('/')}`);
  }

  async function newSet({ kind, driver }: KilledStorage): Promise<string | undefined> {
    const { sets } = await listBackupSets(driver, { prefix: '', signal });
    return sets.find(({ path }) => !whole.has(`${kind} ${path}`))?.path;
  }

  /** Visible files of folders without a manifest. */
  async function filesOfOrphans(): Promise<string[]> {
    const found: string[] = [];
    for (const { kind, traces } of storages) {
      const files = (await traces()).filter((path) => SET_FOLDER.test(path) && !isOfWholeSet(kind, path));
      found.push(...files.filter((path) => !UNFINISHED.test(path)).map((path) => `${kind} ${path}`));
    }
    const fresh = new Set<string>();
    for (const storage of storages) {
      const set = await newSet(storage);
      if (set !== undefined) fresh.add(`${storage.kind} ${set}/`);
    }
    return found.filter((path) => ![...fresh].some((set) => path.startsWith(set))).sort();
  }

  /** @returns all that shall be there besides whole sets when everything of dead runs is swept */
  async function plantForeignFiles(storage: KilledStorage): Promise<string[]> {
    const { kind, plant, plantUpload } = storage;
    const before = (await storage.traces()).filter((path) => !isOfWholeSet(kind, path));
    const orphan = before.find((path) => SET_FOLDER.test(path) && !UNFINISHED.test(path));
    const mixed = orphan?.split('/').slice(0, 2).join('/');
    const planted = [
      'notes.txt',
      'shop/notes.txt',
      'shop/20260101T000000Z_0123abcd/shop.sqlite',
      'shop/20260101T000000Z_0123abcd/notes.txt',
      'other/20260101T000000Z_0123abcd.sqlite',
      'other/video.mp4.partial',
      ...(mixed === undefined ? [] : [`${mixed}/keep.txt`]),
    ];
    for (const path of planted) await plant(path, 'not ours');
    const upload = plantUpload === undefined ? [] : [await plantUpload()];
    const kept = before.filter((path) => path.startsWith(`${mixed}/`) && !UNFINISHED.test(path));
    assert.ok(before.length > kept.length, `${kind} holds something to be removed`);
    return [...planted, ...upload, ...kept].sort();
  }
});

/** A source of two databases, stored at all storages as they are. */
function flowOf(work: RunnerWorkspace, storages: readonly KilledStorage[]): FlowEntry[] {
  const files = [join(work.root, 'small.sqlite'), work.database];
  const at = { z: 'tab', x: 100, y: 100 };
  const wires = [storages.map(({ kind }) => `to-${kind}`)];
  return [
    { id: 'tab', type: 'tab', label: 'Backup' },
    {
      id: 'go',
      type: 'inject',
      name: 'go',
      props: [],
      repeat: '',
      crontab: '',
      once: false,
      ...at,
      wires: [['src']],
    },
    { id: 'src', type: 'dbackup-sqlite', name: 'src', job: 'shop', files, schemaVersion: 1, ...at, wires },
    ...storages.flatMap((storage) => nodesOf(storage, 'tab')),
  ];
}
