import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createSampleDatabase } from '../../demo/sample-database.ts';
import type { FlowEntry } from '../../runner/runtime.ts';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { dbackup, eventsOf, isRunning, RunnerProcess } from '../support/runner-process.ts';
import { until } from '../support/until.ts';

const TEMPLATE = join(import.meta.dirname, '..', '..', 'flows', '06-webhook.json');

describe('dbackup serve', function () {
  this.timeout(240_000);
  let work: RunnerWorkspace;
  /** Holds a database that is larger than what the engine buffers: its dump lasts as long as its run. */
  let large: RunnerWorkspace;
  let running: RunnerProcess | undefined;

  before(() => {
    large = new RunnerWorkspace(80_000_000);
  });

  after(() => large.remove());

  beforeEach(() => {
    work = new RunnerWorkspace();
  });

  afterEach(async () => {
    running?.kill('SIGKILL');
    await running?.finished;
    running = undefined;
    work.remove();
  });

  const templateEnv = () => work.env({ APP_DATABASE: work.database, BACKUP_DIR: work.first });

  async function serve(
    flow: string,
    env: NodeJS.ProcessEnv,
  ): Promise<{ runner: RunnerProcess; url: string }> {
    const runner = new RunnerProcess(['serve', flow, '--port', '0', '--json'], { env });
    running = runner;
    const { url } = await runner.event('listening');
    return { runner, url: String(url) };
  }

  it('answers a webhook with the run id at once, and stores that run', async () => {
    const { runner, url } = await serve(TEMPLATE, templateEnv());
    assert.match(url, /^http:\/\/127\.0\.0\.1:\d+/);
    const response = await fetch(`${url}/backup`, { method: 'POST' });
    assert.equal(response.status, 202);
    const { runId } = (await response.json()) as { runId: string };
    const finished = await runner.event('run-finished');
    assert.equal(finished.run, runId);
    assert.equal(finished.state, 'succeeded');
    assert.ok(existsSync(join(work.first, 'app', runId, 'manifest.json')));
    runner.kill('SIGTERM');
    const { code, stdout, stderr } = await runner.finished;
    assert.equal(code, 143, stderr);
    assert.equal(eventsOf(stdout).at(-1)?.exitCode, 143);
    await assert.rejects(fetch(url), 'the port is closed');
  });

  it('runs as often as it is asked, two at a time as well', async () => {
    const { runner, url } = await serve(TEMPLATE, templateEnv());
    const answers = await Promise.all([1, 2].map(() => fetch(`${url}/backup`, { method: 'POST' })));
    const ids = await Promise.all(
      answers.map(async (answer) => ((await answer.json()) as { runId: string }).runId),
    );
    assert.equal(new Set(ids).size, 2);
    await runner.seen((stdout) =>
      eventsOf(stdout).filter(({ event, state }) => event === 'run-finished' && state === 'succeeded')
        .length === 2
        ? true
        : undefined,
    );
    assert.deepEqual(readdirSync(join(work.first, 'app')).sort(), ids.sort());
  });

  for (const [signal, code] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const) {
    it(`drains on ${signal} in the midst of a run: cancelled, nothing left, exit code ${code}`, async () => {
      const flow = work.flow({ rate: 0.05, files: [large.database], more: webhook() });
      const { runner, url } = await serve(flow, work.env());
      await fetch(`${url}/go`);
      const progress = await runner.seen((stdout) => eventsOf(stdout).find(hasStored));
      assert.equal(progress.event, 'progress');
      // The dump runs in a process of its own.
      await until(() => runner.children().length > 0);
      const children = runner.children();
      runner.kill(signal);
      const ended = await runner.finished;
      assert.equal(ended.code, code, ended.stderr);
      const states = eventsOf(ended.stdout).flatMap(({ event, state }) =>
        event === 'run-finished' ? [state] : [],
      );
      assert.deepEqual(states, ['cancelled']);
      assert.deepEqual(children.filter(isRunning), []);
      assert.deepEqual(readdirSync(work.first), []);
      assert.deepEqual(readdirSync(work.temp), []);
      const { stdout } = await dbackup(['runs', '--json'], { env: work.env() });
      assert.equal(JSON.parse(stdout).runs[0].state, 'cancelled');
    });
  }

  it('keeps schedules going: an inject node that repeats runs again and again', async () => {
    const schedule = {
      id: 'clock',
      type: 'inject',
      z: 'tab',
      x: 1,
      y: 1,
      repeat: '1',
      props: [],
      wires: [['src']],
    };
    const { runner } = await serve(work.flow({ more: [schedule] }), work.env());
    await runner.seen((stdout) =>
      eventsOf(stdout).filter(({ event }) => event === 'run-finished').length >= 2 ? true : undefined,
    );
  });

  it('goes on after a run that failed', async () => {
    const { runner, url } = await serve(TEMPLATE, {
      ...templateEnv(),
      APP_DATABASE: join(work.root, 'later.sqlite'),
    });
    await fetch(`${url}/backup`, { method: 'POST' });
    assert.equal((await runner.event('run-finished')).state, 'failed');
    createSampleDatabase(join(work.root, 'later.sqlite'), 200_000);
    await fetch(`${url}/backup`, { method: 'POST' });
    await runner.seen((stdout) =>
      eventsOf(stdout).some(({ event, state }) => event === 'run-finished' && state === 'succeeded')
        ? true
        : undefined,
    );
  });

  it('ends with 3 when the port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const { code, stderr } = await dbackup(['serve', TEMPLATE, '--port', String(port)], {
      env: templateEnv(),
    });
    other.close();
    assert.equal(code, 3);
    assert.match(stderr, new RegExp(`${port}`));
  });

  it('ends with 2 for a port that is none and for a flow that is not valid', async () => {
    const port = await dbackup(['serve', TEMPLATE, '--port', 'http'], { env: templateEnv() });
    assert.equal(port.code, 2);
    assert.match(port.stderr, /must be a port number/);
    const flow = await dbackup(['serve', TEMPLATE, '--port', '0'], { env: work.env() });
    assert.equal(flow.code, 2);
    assert.match(flow.stderr, /APP_DATABASE is not set/);
  });

  it('uses the data directory that it is given', async () => {
    const own = join(work.root, 'own-data');
    mkdirSync(own);
    const runner = new RunnerProcess(['serve', TEMPLATE, '--port', '0', '--json', '--data', own], {
      env: templateEnv(),
    });
    running = runner;
    await runner.event('listening');
    assert.ok(existsSync(join(own, 'dbackup.db')));
    assert.equal(existsSync(work.data), false);
  });
});

/** `GET /go` starts the backup, and is answered at once. */
function webhook(): FlowEntry[] {
  const at = { z: 'tab', x: 1, y: 1 };
  return [
    { id: 'hook', type: 'http in', ...at, url: '/go', method: 'get', wires: [['src', 'answer']] },
    { id: 'answer', type: 'http response', ...at, wires: [] },
  ];
}

function hasStored({ event, storedBytes }: { event: string; storedBytes?: unknown }): boolean {
  return (
    event === 'progress' && Object.values(storedBytes as Record<string, number>).some((bytes) => bytes > 0)
  );
}
