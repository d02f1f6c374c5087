import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FlowEntry } from '../../runner/runtime.ts';
import { type NodesRuntime, payloadOf, startNodes } from '../support/backup-nodes.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { fillDisk, mountSmallDisk, type SmallDisk } from '../support/small-disk.ts';
import { until } from '../support/until.ts';

const MINUTE_MS = 60_000;

const FLOW: FlowEntry[] = [
  { id: 'tab', type: 'tab', label: 'Test' },
  {
    id: 'clock',
    type: 'dbackup-schedule',
    z: 'tab',
    x: 1,
    y: 1,
    every: 'hours',
    hours: '1',
    minute: 0,
    zone: 'UTC',
    wires: [['fired']],
  },
  { id: 'fired', type: 'debug', z: 'tab', x: 1, y: 1, name: 'fired', wires: [] },
  { id: 'catch', type: 'catch', z: 'tab', x: 1, y: 1, scope: null, wires: [['errors']] },
  { id: 'errors', type: 'debug', z: 'tab', x: 1, y: 1, name: 'errors', wires: [] },
];

describe('a schedule whose store cannot be written', function () {
  this.timeout(120_000);
  let disk: SmallDisk | undefined;
  let nodes: NodesRuntime | undefined;
  let clock: FakeClock;

  beforeEach(() => {
    clock = new FakeClock('2026-05-01T12:30:00Z');
  });

  afterEach(async () => {
    await nodes?.stop();
    nodes = undefined;
    await disk?.unmount();
    disk = undefined;
  });

  async function start(dataDir: string): Promise<NodesRuntime> {
    nodes = await startNodes(FLOW, { clock, settings: { dbackup: { dataDir } } });
    await clock.pass(MINUTE_MS);
    return nodes;
  }

  const errors = (started: NodesRuntime) =>
    started.recorded('errors').map(({ error }) => error?.message ?? '');

  it('says so at the deploy, and begins as soon as it can', async () => {
    const root = mkdtempSync(join(tmpdir(), 'dbackup-no-store-'));
    try {
      writeFileSync(join(root, 'data'), 'a file stands where the folder should be');
      const started = await start(join(root, 'data'));
      await started.records('errors', 1);
      assert.match(errors(started)[0] ?? '', /The schedule cannot fire until this is mended: The store /);
      await clock.until('2026-05-01T14:30:00Z');
      assert.deepEqual(started.recorded('fired'), []);
      assert.equal(errors(started).length, 1, 'it says it once');
      rmSync(join(root, 'data'));
      mkdirSync(join(root, 'data'));
      await clock.until('2026-05-01T15:00:00Z');
      await started.records('fired', 1);
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });

  it('says so at the deploy on a read-only disk, and fires when that is mended', async function () {
    disk = await mountSmallDisk(this, 'size=4m');
    await disk.remount('ro');
    const started = await start(disk.path);
    await started.records('errors', 1);
    assert.match(errors(started)[0] ?? '', /cannot be written .*give this user write access/);
    await clock.until('2026-05-01T13:20:00Z');
    assert.deepEqual(started.recorded('fired'), []);
    await disk.remount('rw');
    await clock.until('2026-05-01T14:00:00Z');
    await started.records('fired', 1);
  });

  it('fires nothing on a full disk that it could fire again, and goes on when there is room', async function () {
    disk = await mountSmallDisk(this, 'size=4m');
    const started = await start(disk.path);
    await clock.until('2026-05-01T13:00:00Z');
    await started.records('fired', 1);
    fillDisk(disk.path);
    await clock.until('2026-05-01T14:20:00Z');
    await started.records('errors', 1);
    assert.match(errors(started)[0] ?? '', /No space left for the store/);
    assert.equal(started.recorded('fired').length, 1);
    rmSync(join(disk.path, 'filler'));
    await clock.pass(MINUTE_MS);
    const [, late] = await started.records('fired', 2);
    assert.equal(payloadOf<{ scheduledAt: string }>(late).scheduledAt, '2026-05-01T14:00:00.000Z');
    await clock.until('2026-05-01T15:00:00Z');
    await until(() => started.recorded('fired').length === 3);
  });
});
