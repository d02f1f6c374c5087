import assert from 'node:assert/strict';
import { cp, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import { findArtifact, openBackupSet } from '../../lib/backupset/reader.ts';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import { BackupEngine } from '../../lib/engine/backup-engine.ts';
import { BackupError } from '../../lib/errors.ts';
import { EMPTY_KEY_RING } from '../../lib/keys/keys.ts';
import { readRaw } from '../../lib/restore/raw-stream.ts';
import { collect } from '../support/byte-streams.ts';
import { type localFolder, planRun, useLocalFolders } from '../support/engine-run.ts';
import { ScriptedSource } from '../support/scripted-source.ts';

const signal = new AbortController().signal;

describe('catalogue of sets', () => {
  const folder = useLocalFolders();

  async function store(a: Awaited<ReturnType<typeof localFolder>>, job: string): Promise<string> {
    const engine = new BackupEngine();
    const { run, joins } = planRun(
      engine,
      [new ScriptedSource({ name: 'one', bytes: 100_000 })],
      [{ to: a.driver, name: 'a' }],
      { job },
    );
    run.seal();
    const [committed] = await Promise.all(joins);
    await engine.idle();
    assert.ok(committed !== undefined);
    return committed.reference.path;
  }

  async function assertRestorable(driver: DestinationDriver, path: string): Promise<void> {
    const set = await openBackupSet(driver, path, signal);
    const raw = await collect(
      readRaw({ set, artifact: findArtifact(set, undefined), keys: EMPTY_KEY_RING, signal }),
    );
    assert.ok(raw.equals(ScriptedSource.contentOf('one', 100_000)));
  }

  it('lists the newest first, and jobs whose folders have the same name apart', async () => {
    const a = await folder();
    const paths = [await store(a, 'my shop'), await store(a, 'my_shop'), await store(a, 'my shop')];
    const all = await listBackupSets(a.driver, { prefix: 'sets', signal });
    assert.equal(all.sets.length, 3);
    const times = all.sets.map(({ manifest }) => manifest.startedAt);
    assert.deepEqual(times, [...times].sort().reverse());
    const ours = await listBackupSets(a.driver, { prefix: 'sets', job: 'my shop', signal });
    assert.deepEqual(
      ours.sets.map(({ path }) => path).sort(),
      [paths[0], paths[2]].map((path) => `sets/${path}`).sort(),
    );
  });

  it('does not count sets of a destination that stores below the folder of the job', async () => {
    const a = await folder();
    await store(a, 'shop');
    const path = await store(a, 'other');
    await cp(join(a.root, 'sets', path), join(a.root, 'sets/shop/shop/nested'), { recursive: true });
    const { sets } = await listBackupSets(a.driver, { prefix: 'sets', job: 'shop', signal });
    assert.equal(sets.length, 1);
    assert.equal((await listBackupSets(a.driver, { prefix: 'sets', signal })).sets.length, 3);
  });

  it('lists what cannot be read as such, beside the others', async () => {
    const a = await folder();
    await store(a, 'shop');
    for (const [name, text] of [
      ['damaged', '{"format":'],
      ['newer', '{"version":2}'],
      ['empty', ''],
    ] as const) {
      await mkdir(join(a.root, 'sets/shop', name));
      await writeFile(join(a.root, 'sets/shop', name, 'manifest.json'), text);
    }
    await mkdir(join(a.root, 'sets/shop/orphan'));
    await writeFile(join(a.root, 'sets/shop/orphan/one.txt'), 'no manifest beside it');
    const { sets, unreadable } = await listBackupSets(a.driver, { prefix: 'sets', job: 'shop', signal });
    assert.equal(sets.length, 1);
    assert.deepEqual(unreadable.map(({ path, error }) => `${path} ${error.code}`).sort(), [
      'sets/shop/damaged corrupt',
      'sets/shop/empty corrupt',
      'sets/shop/newer invalid-config',
    ]);
  });

  it('finds and restores a set that was moved, renamed, or is all that the storage holds', async () => {
    const a = await folder();
    const path = await store(a, 'shop');
    await mkdir(join(a.root, 'archive'));
    await rename(join(a.root, 'sets', path), join(a.root, 'archive/kept for ever'));
    const { sets } = await listBackupSets(a.driver, { prefix: '', signal });
    assert.deepEqual(
      sets.map((set) => set.path),
      ['archive/kept for ever'],
    );
    await assertRestorable(a.driver, 'archive/kept for ever');
    const alone = createLocalDestination({ root: join(a.root, 'archive/kept for ever') });
    const [only] = (await listBackupSets(alone, { prefix: '', signal })).sets;
    assert.equal(only?.path, '');
    await assertRestorable(alone, '');
  });

  it('takes a failed listing for an error, and a set that was just removed for none', async () => {
    const a = await folder();
    await store(a, 'shop');
    const failing: DestinationDriver = {
      ...a.driver,
      // biome-ignore lint/correctness/useYield: the listing fails before its first entry
      async *list() {
        throw new BackupError('unavailable', 'page 2 did not come');
      },
    };
    await assert.rejects(listBackupSets(failing, { prefix: '', signal }), /page 2 did not come/);
    const racing: DestinationDriver = {
      ...a.driver,
      async *list(prefix, stop) {
        const found = [];
        for await (const object of a.driver.list(prefix, stop)) found.push(object);
        await rm(join(a.root, 'sets'), { recursive: true });
        yield* found;
      },
    };
    assert.deepEqual(await listBackupSets(racing, { prefix: '', signal }), { sets: [], unreadable: [] });
  });

  it('stops when it is told to', async () => {
    const a = await folder();
    await store(a, 'shop');
    const controller = new AbortController();
    const hanging: DestinationDriver = { ...a.driver, stat: () => new Promise(() => undefined) };
    setTimeout(() => controller.abort(), 50);
    await assert.rejects(listBackupSets(hanging, { prefix: '', signal: controller.signal }), {
      code: 'aborted',
    });
  });
});
