import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { inspectSampleDatabase } from '../../demo/sample-database.ts';
import { PLACES, ROOT } from '../../demo/workspace.ts';
import { freePort } from '../support/free-port.ts';

/** What the README promises to a newcomer. */
describe('a fresh clone', function () {
  this.timeout(180_000);
  let running: ChildProcess | undefined;

  afterEach(async () => {
    if (running?.exitCode !== null) return;
    // Not SIGKILL: it could not take Node-RED along.
    running.kill('SIGTERM');
    await once(running, 'exit');
  });

  it('has a demo that backs up, verifies, restores and compares, and can be repeated', async () => {
    for (const _time of [1, 2]) {
      const { stdout } = await promisify(execFile)(process.execPath, [join(ROOT, 'demo', 'demo.ts')]);
      assert.match(stdout, /^Backup {4}one dump of \d+ MB in .*\/s\), zstd, AES-256-GCM$/m);
      assert.match(stdout, /^Verified {2}both sets: /m);
      assert.match(stdout, /^Compared {2}customers, orders, documents are identical/m);
      assert.match(stdout, /^Done /m);
      assert.equal(inspectSampleDatabase(join(PLACES.restored, 'shop-restored.sqlite')).integrity, 'ok');
    }
  });

  it('starts Node-RED with the nodes and the quick-start flow', async () => {
    const port = await freePort();
    const child = spawn(process.execPath, [join(ROOT, 'demo', 'start.ts')], {
      env: { ...process.env, PORT: String(port) },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    running = child;
    let output = '';
    child.stdout.on('data', (text: Buffer) => (output += text.toString()));
    const started = async () => {
      while (!output.includes('Started flows')) await once(child.stdout, 'data');
    };
    await started();
    assert.match(output, new RegExp(`http://127\\.0\\.0\\.1:${port}`));
    const url = `http://127.0.0.1:${port}`;
    const nodes = await (await fetch(`${url}/nodes`, { headers: { accept: 'application/json' } })).json();
    const ours = (nodes as { module: string; types: string[]; err?: string }[]).filter(
      ({ module }) => module === '@dbackup/node-red',
    );
    assert.ok(ours.flatMap(({ types }) => types).includes('dbackup-sqlite'));
    assert.deepEqual(
      ours.filter(({ err }) => err !== undefined),
      [],
    );
    const flows = (await (await fetch(`${url}/flows`)).json()) as { type: string }[];
    assert.ok(flows.some(({ type }) => type === 'dbackup-encrypt'));
    assert.equal((await fetch(url)).status, 200, 'the editor');
    child.kill('SIGTERM');
    await once(child, 'exit');
  });
});
