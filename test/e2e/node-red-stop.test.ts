import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSampleDatabase } from '../../demo/sample-database.ts';
import { openStore } from '../../lib/store/store.ts';
import { linkPackage, NodeRed } from '../support/editor/node-red.ts';
import { backupFlow } from '../support/runner-flows.ts';
import { processesWithTemp } from '../support/runner-traces.ts';
import { until } from '../support/until.ts';

/** MB/s at which a run takes far longer than a test. */
const SLOW = 0.2;

describe("Node-RED's process, told to end while a backup runs", function () {
  this.timeout(300_000);
  let root: string;
  let nodeRed: NodeRed | undefined;
  const at = (name: string) => join(root, name);

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'dbackup-node-red-stop-'));
    for (const name of ['user', 'first', 'second', 'temp']) mkdirSync(at(name));
    createSampleDatabase(at('shop.sqlite'), 20_000_000);
    linkPackage(at('user'));
  });

  afterEach(async () => {
    await nodeRed?.stop();
    nodeRed = undefined;
    rmSync(root, { recursive: true, force: true });
  });

  async function start(settings: object = {}, rate = SLOW): Promise<NodeRed> {
    const places = { database: at('shop.sqlite'), first: at('first'), second: at('second') };
    const at0 = { z: 'tab', x: 1, y: 1, wires: [['src']] };
    const go = { ...at0, props: [], repeat: '', crontab: '', once: true, onceDelay: 0.1 };
    nodeRed = await NodeRed.start({
      userDir: at('user'),
      flow: backupFlow(places, { key: null, rate, settings: { go } }),
      environment: { DBACKUP_DATA: at('data'), TMPDIR: at('temp') },
      settings: { dbackup: { minFreeMiB: 0, ...settings } },
    });
    return nodeRed;
  }

  const isStoring = () =>
    readdirSync(at('first'), { recursive: true }).some((name) => String(name).endsWith('.partial'));

  async function states(): Promise<string[]> {
    const store = await openStore(at('data'));
    try {
      return (await store.runs()).map(({ state }) => state);
    } finally {
      await store.close();
    }
  }

  it('cancels it, and leaves no file, no process and no run that seems to go on', async () => {
    const running = await start();
    await until(isStoring, 120_000);
    await running.stop();
    for (const folder of ['first', 'second', 'temp']) {
      assert.deepEqual(readdirSync(at(folder), { recursive: true }), [], folder);
    }
    assert.deepEqual(processesWithTemp(at('temp')), []);
    assert.deepEqual(await states(), ['cancelled']);
  });

  it('lets it come to its end within the time that Node-RED gives, when it shall drain', async () => {
    // Slow enough to be under way, and done within some seconds.
    const running = await start({ shutdown: 'drain', shutdownSeconds: 14 }, 3);
    await until(isStoring, 120_000);
    await running.stop();
    const [state] = await states();
    assert.ok(state === 'succeeded' || state === 'cancelled', state);
    assert.deepEqual(readdirSync(at('temp')), []);
    assert.equal(isStoring(), false);
  });
});
