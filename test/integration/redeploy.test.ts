import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import Database from 'better-sqlite3';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import { type BackupRuntime, existingRuntime } from '../../nodes/runtime.ts';
import type { FlowEntry } from '../../runner/runtime.ts';
import { startTestRuntime, type TestRuntime } from '../support/embedded.ts';
import { delay, node, TAB } from '../support/flows.ts';
import { until } from '../support/until.ts';

const DATABASE_BYTES = 4_000_000;
/** Slow enough that a deploy fits well into a run. */
const MB_PER_SECOND = 4;

interface Scene extends TestRuntime {
  readonly backup: BackupRuntime;
  readonly root: string;
  /** Starts a backup and resolves when it writes. */
  begin(): Promise<void>;
}

describe('Redeploying while a backup runs', () => {
  let dir: string;
  let database: string;
  let flow: FlowEntry[];

  before(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'dbackup-redeploy-'));
    database = path.join(dir, 'shop.sqlite');
    const connection = new Database(database);
    connection.exec('PRAGMA journal_mode = WAL; CREATE TABLE item (content BLOB)');
    const insert = connection.prepare('INSERT INTO item VALUES (?)');
    for (let bytes = 0; bytes < DATABASE_BYTES; bytes += 50_000) insert.run(randomBytes(50_000));
    connection.close();
  });
  after(() => rm(dir, { recursive: true, force: true }));

  async function play(
    body: (scene: Scene) => Promise<void>,
    extra: readonly FlowEntry[] = [],
  ): Promise<void> {
    const root = await mkdtemp(path.join(dir, 'storage-'));
    flow = [
      TAB,
      node('in', 'inject', [['src']], { props: [] }),
      node('src', 'dbackup-sqlite', [['dest']], { job: 'shop', files: [database] }),
      node('dest', 'dbackup-local', [['sink']], { storage: 'storage', folder: '', rate: MB_PER_SECOND }),
      node('sink', 'test-sink'),
      node('sink2', 'test-sink'),
      node('catch', 'catch', [['caught']], { scope: null }),
      node('caught', 'test-sink'),
      { id: 'storage', type: 'dbackup-local-storage', root },
      { id: 'other', type: 'tab', label: 'Other' },
      node('unrelated', 'test-step', [[]], { z: 'other' }),
      ...extra,
    ];
    const started = await startTestRuntime(flow, { withBackupNodes: true });
    try {
      const backup = existingRuntime(started.runtime);
      assert.ok(backup !== undefined);
      const begin = async () => {
        const writing = new Promise((resolve) => backup.engine.events.once('progress', resolve));
        started.runtime.fire('in');
        await writing;
      };
      await body({ ...started, backup, root, begin });
    } finally {
      await started.stop();
    }
  }

  const changed = (id: string, change: Partial<FlowEntry>): FlowEntry[] =>
    flow.map((entry) => (entry.id === id ? { ...entry, ...change } : entry));

  async function assertOneSet({ root }: Scene): Promise<void> {
    const driver = createLocalDestination({ root });
    const { sets, unreadable } = await listBackupSets(driver, {
      prefix: '',
      signal: AbortSignal.timeout(5000),
    });
    assert.deepEqual(unreadable, []);
    assert.equal(sets.length, 1);
    assert.equal(sets[0]?.manifest.status, 'complete');
  }

  for (const type of ['nodes', 'flows'] as const) {
    it(`of another tab does not disturb it (${type})`, () =>
      play(async (scene) => {
        await scene.begin();
        await scene.runtime.deploy(changed('unrelated', { name: 'renamed' }), type);
        assert.equal(scene.backup.engine.activeRuns().length, 1, 'the backup still runs');
        await until(() => scene.engine.sunk.length > 0, 120_000);
        assert.deepEqual(scene.engine.sunk, ['sink']);
        await assertOneSet(scene);
      }));
  }

  for (const type of ['nodes', 'flows', 'full'] as const) {
    it(`of its own tab does not disturb it; the new node sends the result (${type})`, () =>
      play(async (scene) => {
        await scene.begin();
        await scene.runtime.deploy(changed('dest', { name: 'renamed', wires: [['sink2']] }), type);
        assert.equal(scene.backup.engine.activeRuns().length, 1, 'the backup still runs');
        await until(() => scene.engine.sunk.length > 0, 120_000);
        assert.deepEqual(scene.engine.sunk, ['sink2']);
        const [message] = scene.engine.messages as { backup?: { set?: { path: string } } }[];
        assert.match(message?.backup?.set?.path ?? '', /^shop\//);
        await assertOneSet(scene);
      }));
  }

  it('that removes all of its nodes does not disturb it either, and says that nobody gets the result', () =>
    play(async (scene) => {
      await scene.begin();
      const without = ['src', 'dest', 'storage'];
      await scene.runtime.deploy(
        flow.filter(({ id }) => !without.includes(id)),
        'full',
      );
      await until(() => scene.lines.some(({ message }) => /was removed/.test(message)), 120_000);
      assert.deepEqual(scene.engine.sunk, []);
      await assertOneSet(scene);
    }));

  it('hands the error of a run that then fails to the new Catch node', () =>
    play(async (scene) => {
      await scene.begin();
      await scene.runtime.deploy(changed('catch', { name: 'renamed' }), 'full');
      const [run] = scene.backup.engine.activeRuns();
      assert.ok(run !== undefined);
      scene.backup.engine.cancel(run.runId, 'the test asks for it');
      await until(() => scene.engine.sunk.includes('caught'), 120_000);
      const caught = scene.engine.messages.find((message) => 'error' in message) as {
        error: { message: string };
      };
      assert.match(caught.error.message, /the test asks for it/);
      assert.deepEqual(await readdir(scene.root), []);
    }));

  it('while it is planned drops only what the closed nodes held', () =>
    play(
      async (scene) => {
        const second = await mkdtemp(path.join(dir, 'storage-'));
        const planned = [
          ...changed('src', { wires: [['dest', 'wait']] }),
          delay('wait', 60_000, 'dest2'),
          node('dest2', 'dbackup-local', [['sink2']], { storage: 'storage2', folder: '' }),
          { id: 'storage2', type: 'dbackup-local-storage', root: second },
        ];
        await scene.runtime.deploy(planned, 'full');
        scene.runtime.fire('in');
        await until(() => scene.runtime.tracker.activity().some(({ joined }) => joined));
        await scene.runtime.deploy(
          planned.map((entry) => (entry.id === 'wait' ? { ...entry, name: 'renamed' } : entry)),
          'nodes',
        );
        await until(() => scene.engine.sunk.length > 0, 120_000);
        assert.deepEqual(scene.engine.sunk, ['sink']);
        await assertOneSet(scene);
      },
      [delay('unused', 1)],
    ));

  it('is not what ends a run: stopping Node-RED is, and leaves nothing half-written', () =>
    play(async (scene) => {
      await scene.begin();
      await scene.runtime.stop();
      assert.deepEqual(scene.engine.sunk, ['caught'], 'the error was handed on before the end');
      assert.deepEqual(scene.backup.engine.activeRuns(), []);
      assert.deepEqual(await readdir(scene.root, { recursive: true }), []);
    }));
});
