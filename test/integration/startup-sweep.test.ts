import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newRunId } from '../../lib/backupset/names.ts';
import { privateFolderName } from '../../lib/private-folders.ts';
import { openStore } from '../../lib/store/store.ts';
import { existingRuntime } from '../../nodes/runtime.ts';
import type { FlowEntry } from '../../runner/runtime.ts';
import { type NodesRuntime, startNodes } from '../support/backup-nodes.ts';
import { TemplateEnvironment } from '../support/template-environment.ts';
import { until } from '../support/until.ts';

const HOUR = 3_600_000;
const FILES = ['shop.sqlite.zst', 'SHA256SUMS'];
const PATIENCE_MS = 30_000;

describe('sweeping when Node-RED starts', () => {
  let environment: TemplateEnvironment;
  let nodes: NodesRuntime | undefined;

  beforeEach(() => {
    environment = new TemplateEnvironment(1);
    mkdirSync(environment.first);
  });

  afterEach(async () => {
    await nodes?.stop();
    nodes = undefined;
    environment.remove();
    delete process.env.DBACKUP_SWEEP_AFTER_HOURS;
  });

  /** A folder of a run that was opened so long ago; its files came then. */
  const plant = (ageMs: number, { files = FILES, folder = 'app', runId = '' } = {}): string => {
    const opened = new Date(Date.now() - ageMs);
    const path = join(environment.first, folder, runId || newRunId(opened));
    mkdirSync(path, { recursive: true });
    for (const file of files) {
      writeFileSync(join(path, file), 'x');
      utimesSync(join(path, file), opened, opened);
    }
    return path;
  };
  const flow = (root = environment.first, more: readonly FlowEntry[] = []): FlowEntry[] => [
    { id: 'tab', type: 'tab', label: 'Test' },
    { id: 'disk', type: 'dbackup-local-storage', name: 'Disk', root, create: false },
    ...['local', 'copy'].map((id) => ({
      id,
      type: 'dbackup-local',
      z: 'tab',
      name: id,
      x: 1,
      y: 1,
      storage: 'disk',
      folder: id === 'copy' ? 'copies' : '',
      rate: '',
      wires: [[]],
    })),
    ...more,
  ];
  const start = async (entries = flow(), settings: object = {}): Promise<void> => {
    nodes = await startNodes(entries, { settings: { dbackup: settings } });
    await swept();
  };
  const dataFolder = () => join(environment.root, 'data');
  const swept = async () => {
    assert.ok(nodes);
    await existingRuntime(nodes.runtime)?.startupSweep.idle();
  };
  const lines = (pattern: RegExp) => nodes?.lines.filter(({ message }) => pattern.test(message)) ?? [];

  it('removes what dead runs have left at all destinations of a storage, and says so at one of them', async () => {
    const orphans = [plant(48 * HOUR), plant(30 * HOUR, { folder: 'copies/app' })];
    const young = plant(2 * HOUR);
    const set = plant(48 * HOUR, { files: [...FILES, 'manifest.json'] });
    const strange = plant(48 * HOUR, { files: [...FILES, 'notes.txt'] });
    const elsewhere = plant(48 * HOUR, { folder: 'other/app' });
    const partial = join(environment.first, 'app', '.shop.sqlite.0123456789abcdef.partial');
    writeFileSync(partial, 'x');
    utimesSync(partial, new Date(0), new Date(Date.now() - 25 * HOUR));
    await start();
    assert.deepEqual(orphans.filter(existsSync), []);
    assert.ok(!existsSync(partial));
    assert.deepEqual([young, set, strange, elsewhere].filter(existsSync), [young, set, strange, elsewhere]);
    const [line, ...more] = lines(
      /^Removed from file:\/\/.*1 unfinished file, .*without a manifest \(2 files\)/,
    );
    assert.equal(more.length, 0);
    assert.deepEqual([line?.level, line?.node?.id], ['info', 'local']);
    assert.equal(lines(/is not swept: it holds notes\.txt/).length, 1);
  });

  it('does so once for each storage, also after a deploy, and at once for one that comes with a deploy', async () => {
    await start();
    const second = join(environment.root, 'second-disk');
    const [late, later] = [plant(48 * HOUR), plant(48 * HOUR)];
    mkdirSync(join(second, 'app'), { recursive: true });
    const other = join(second, 'app', newRunId(new Date(Date.now() - 48 * HOUR)));
    mkdirSync(other);
    writeFileSync(join(other, 'shop.sqlite'), 'x');
    utimesSync(join(other, 'shop.sqlite'), new Date(0), new Date(Date.now() - 48 * HOUR + HOUR));
    await nodes?.runtime.deploy(flow(), 'full');
    await swept();
    assert.deepEqual([late, later].filter(existsSync), [late, later]);
    await nodes?.runtime.deploy(flow(second), 'full');
    await swept();
    assert.deepEqual([existsSync(other), existsSync(late)], [false, true]);
  });

  it('sweeps earlier what the history knows to be dead, and never what a living process writes', async () => {
    const dataDir = dataFolder();
    const [dead, alive] = [newRunId(new Date(Date.now() - HOUR)), newRunId(new Date(Date.now() - 48 * HOUR))];
    const before = await openStore(dataDir);
    await before.journal.opened({ id: dead, job: 'app', openedAt: new Date() });
    await before.close();
    const living = await openStore(dataDir);
    await living.journal.opened({ id: alive, job: 'app', openedAt: new Date() });
    try {
      const orphan = plant(HOUR, { runId: dead, files: [...FILES, 'RESTORE.md'] });
      const busy = plant(48 * HOUR, { runId: alive });
      const unknown = plant(HOUR);
      await start();
      assert.deepEqual([orphan, busy, unknown].filter(existsSync), [busy, unknown]);
    } finally {
      await living.close();
    }
  });

  it('comes back for what was too young', async () => {
    const orphan = plant(0);
    await start(flow(), { sweepAfterHours: 2 / 3600 });
    await until(() => !existsSync(orphan), PATIENCE_MS);
  });

  it('can be switched off, and be told another time, by settings.js and before it by the environment', async () => {
    const orphan = plant(48 * HOUR);
    await start(flow(), { sweepAfterHours: 0 });
    assert.ok(existsSync(orphan));
    await nodes?.stop();
    process.env.DBACKUP_SWEEP_AFTER_HOURS = '72';
    await start(flow(), { sweepAfterHours: 1 });
    assert.ok(existsSync(orphan));
    await nodes?.stop();
    process.env.DBACKUP_SWEEP_AFTER_HOURS = '0.5';
    await start(flow(), { sweepAfterHours: 0 });
    assert.ok(!existsSync(orphan));
  });

  for (const [settings, hours, message] of [
    [{ sweepAfterHours: -1 }, '', /sweepAfterHours/],
    [{ sweepAfterHours: '24' }, '', /sweepAfterHours/],
    [{}, '1d', /DBACKUP_SWEEP_AFTER_HOURS is "1d": give it a number of hours/],
    [{}, '-1', /DBACKUP_SWEEP_AFTER_HOURS/],
    [{}, '1e99', /DBACKUP_SWEEP_AFTER_HOURS/],
  ] as const) {
    it(`refuses ${JSON.stringify(settings)} ${hours} and touches nothing`, async () => {
      const orphan = plant(48 * HOUR);
      process.env.DBACKUP_SWEEP_AFTER_HOURS = hours;
      await start(flow(), settings);
      assert.ok(lines(message).length > 0, nodes?.lines.map((line) => line.message).join('\n'));
      assert.ok(existsSync(orphan));
    });
  }

  it('tells what cannot be swept, and removes nothing then', async () => {
    const orphan = plant(48 * HOUR);
    writeFileSync(join(environment.root, 'a-file'), '');
    await start(flow(join(environment.root, 'a-file')));
    const [line] = lines(/^What interrupted runs may have left in file:.*a-file was not removed: /);
    assert.deepEqual([line?.level, line?.node?.id], ['warn', 'local']);
    assert.ok(existsSync(orphan));
  });

  it('says nothing where nothing is left, and makes no history for it', async () => {
    plant(48 * HOUR, { files: [...FILES, 'manifest.json'] });
    await start();
    assert.deepEqual(lines(/swept|Removed|interrupted/), []);
    assert.ok(!existsSync(dataFolder()));
  });

  it('is ended by the end of Node-RED', async () => {
    for (let age = 48; age < 148; age += 1) plant(age * HOUR);
    nodes = await startNodes(flow());
    const runtime = existingRuntime(nodes.runtime);
    await nodes.stop();
    const left = readdirSync(join(environment.first, 'app')).length;
    await runtime?.startupSweep.idle();
    assert.equal(readdirSync(join(environment.first, 'app')).length, left);
  });

  it('removes temporary folders of processes that are gone, with the passwords in them', async () => {
    process.env.TMPDIR = environment.root;
    const name = privateFolderName('mysql');
    const gone = join(tmpdir(), name.replace(/-\d+-([0-9a-f]{16})$/, '-1-$1'));
    const living = join(tmpdir(), name);
    for (const folder of [gone, living]) mkdirSync(folder, { mode: 0o700 });
    await start();
    await until(() => !existsSync(gone), PATIENCE_MS);
    assert.ok(existsSync(living));
  });
});
