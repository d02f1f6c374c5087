import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { CheckResult, HealthReport } from '../../lib/health/check.ts';
import { freePort } from '../support/free-port.ts';
import { sampleOf } from '../support/metric-samples.ts';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { dbackup, eventsOf, RunnerProcess } from '../support/runner-process.ts';
import { skipBecause } from '../support/skip.ts';
import { fillDisk, mountSmallDisk, type SmallDisk } from '../support/small-disk.ts';
import { until } from '../support/until.ts';

const SECRET = 'planted-secret-4711';

describe('health and metrics of dbackup serve', function () {
  this.timeout(240_000);
  let work: RunnerWorkspace;
  let running: RunnerProcess | undefined;
  let disk: SmallDisk | undefined;

  beforeEach(() => {
    work = new RunnerWorkspace();
  });

  afterEach(async () => {
    running?.kill('SIGKILL');
    await running?.finished;
    running = undefined;
    await disk?.unmount();
    disk = undefined;
    work.remove();
  });

  const hook = [
    {
      id: 'hook',
      type: 'http in',
      z: 'tab',
      x: 1,
      y: 1,
      url: '/go',
      method: 'get',
      wires: [['answer', 'src']],
    },
    { id: 'answer', type: 'http response', z: 'tab', x: 1, y: 1, statusCode: '202', wires: [] },
  ];

  async function serve(flow: string, env: NodeJS.ProcessEnv): Promise<string> {
    running = new RunnerProcess(['serve', flow, '--port', '0', '--json'], { env });
    return String((await running.event('listening')).url);
  }

  async function ready(url: string): Promise<{ readonly status: number; readonly report: HealthReport }> {
    const answer = await fetch(`${url}/readyz`);
    return { status: answer.status, report: (await answer.json()) as HealthReport };
  }

  const page = async (url: string) => await (await fetch(`${url}/metrics`)).text();
  const failures = ({ checks }: HealthReport): CheckResult[] =>
    checks.filter(({ state }) => state === 'fail');

  it('answers while it is idle and while a backup runs', async () => {
    const large = new RunnerWorkspace(20_000_000);
    try {
      const flow = work.flow({ rate: 0.5, files: [large.database], key: null, more: hook });
      const url = await serve(flow, work.env({ DBACKUP_MIN_FREE_MIB: '0' }));
      assert.equal((await fetch(`${url}/healthz`)).status, 200);
      await until(async () => (await ready(url)).status === 200);
      assert.equal(sampleOf(await page(url), 'dbackup_runs_active', { state: 'running' }), 0);
      await fetch(`${url}/go`);
      await until(async () => sampleOf(await page(url), 'dbackup_runs_active', { state: 'running' }) === 1);
      assert.equal((await fetch(`${url}/healthz`)).status, 200);
      const { status, report } = await ready(url);
      assert.equal(status, 200, JSON.stringify(report));
      assert.equal(report.checks.find(({ name }) => name === 'engine')?.message, '1 run is going on');
    } finally {
      large.remove();
    }
  });

  it('exports what promtool accepts, without paths and secrets', async function () {
    if (spawnSync('promtool', ['--version']).error !== undefined)
      skipBecause(this, 'promtool is not installed');
    const credentials = work.write('secrets.json', { key: { passphrase: SECRET } });
    const flow = work.flow({ key: { kind: 'passphrase' }, more: hook });
    running = new RunnerProcess(['serve', flow, '--port', '0', '--json', '--credentials', credentials], {
      env: work.env({ DBACKUP_MIN_FREE_MIB: '0' }),
    });
    const url = String((await running.event('listening')).url);
    await fetch(`${url}/go`);
    assert.equal((await running.event('run-finished')).state, 'succeeded');
    const succeeded = { backup_job: 'shop', state: 'succeeded' };
    await until(async () => sampleOf(await page(url), 'dbackup_runs_total', succeeded) === 1);
    const text = await page(url);
    const checked = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
    assert.equal(checked.status, 0, checked.stdout + checked.stderr);
    const { report } = await ready(url);
    for (const answer of [text, JSON.stringify(report)]) {
      assert.ok(!answer.includes(SECRET));
      assert.ok(!answer.includes(work.root));
    }
  });

  it('is not ready while its history cannot be written, and lives on', async function () {
    disk = await mountSmallDisk(this, 'size=4m');
    const data = join(disk.path, 'data');
    mkdirSync(data);
    const flow = work.flow({ key: null, more: hook });
    const url = await serve(flow, work.env({ DBACKUP_DATA: data, DBACKUP_MIN_FREE_MIB: '0' }));
    await until(async () => (await ready(url)).status === 200);
    fillDisk(disk.path);
    await until(async () => (await ready(url)).status === 503, 60_000);
    const { report } = await ready(url);
    assert.deepEqual(
      failures(report).map(({ name }) => name),
      ['store'],
    );
    assert.match(failures(report)[0]?.message ?? '', /No space left for the (store|history)/);
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
    assert.equal(sampleOf(await page(url), 'dbackup_ready', {}), 0);
    rmSync(join(disk.path, 'filler'));
    await until(async () => (await ready(url)).status === 200, 60_000);
  });

  it('is not ready while a destination is full, and names it', async function () {
    disk = await mountSmallDisk(this, 'size=8m');
    const flow = work.flow({ key: null, secondRoot: disk.path, more: hook });
    const url = await serve(flow, work.env({ DBACKUP_MIN_FREE_MIB: '2' }));
    await until(async () => (await ready(url)).status === 200);
    fillDisk(disk.path);
    await until(async () => (await ready(url)).status === 503, 60_000);
    const { report } = await ready(url);
    assert.deepEqual(
      failures(report).map(({ name, subject }) => [name, subject]),
      [['free-space', 'far']],
    );
    assert.equal(sampleOf(await page(url), 'dbackup_destination_free_bytes', { destination: 'far' }), 0);
    rmSync(join(disk.path, 'filler'));
    await until(async () => (await ready(url)).status === 200, 60_000);
  });

  it('answers that it lives from the moment that it listens', async () => {
    const port = await freePort();
    const flow = work.flow({ key: null });
    running = new RunnerProcess(['serve', flow, '--port', String(port), '--json'], {
      env: work.env({ DBACKUP_MIN_FREE_MIB: '0' }),
    });
    const url = `http://127.0.0.1:${port}`;
    const seen = new Set<string>();
    await until(async () => {
      const alive = await fetch(`${url}/healthz`).catch(() => undefined);
      const answer = await fetch(`${url}/readyz`).catch(() => undefined);
      if (alive !== undefined) seen.add(`healthz ${alive.status}`);
      return answer?.status === 200;
    }, 60_000);
    assert.deepEqual([...seen], ['healthz 200']);
  });

  it('ends with 2 when the threshold or the port is wrong, before anything starts', async () => {
    const flow = work.flow({ key: null });
    const wrong = await dbackup(['serve', flow, '--port', '0'], {
      env: work.env({ DBACKUP_MIN_FREE_MIB: 'much' }),
    });
    assert.equal(wrong.code, 2, wrong.stderr);
    assert.match(wrong.stderr, /DBACKUP_MIN_FREE_MIB is "much"/);
    for (const port of ['-1', '65536', 'http']) {
      const { code, stderr } = await dbackup(['serve', flow, `--port=${port}`], { env: work.env() });
      assert.equal(code, 2, stderr);
      assert.match(stderr, /port number/);
    }
    assert.deepEqual(eventsOf(wrong.stdout), []);
  });
});
