import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FlowEntry } from '../../runner/runtime.ts';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { dbackup, RunnerProcess } from '../support/runner-process.ts';
import { until } from '../support/until.ts';

/** MB/s at which the sample database takes several seconds. */
const SLOW = 0.05;
const TOKEN = '0123456789abcdef0123456789abcdef';

describe('events of the runner', function () {
  this.timeout(240_000);
  let work: RunnerWorkspace;
  let running: RunnerProcess | undefined;

  beforeEach(() => {
    work = new RunnerWorkspace();
  });

  afterEach(async () => {
    running?.kill('SIGKILL');
    await running?.finished;
    running = undefined;
    work.remove();
  });

  const told = () => join(work.root, 'told');

  /** A listener, and behind it nodes that take their time and write down what they got. */
  function listener(events: readonly string[], seconds: number): FlowEntry[] {
    const at = { z: 'tab', x: 1, y: 1, name: '', schemaVersion: 1 };
    const heard = { events, jobs: [], severity: 'info', onChange: false, wires: [['slow']] };
    const delay = {
      pauseType: 'delay',
      timeout: String(seconds),
      timeoutUnits: 'seconds',
      wires: [['line']],
    };
    const change = { rules: [{ t: 'set', p: 'payload', pt: 'msg', to: 'payload.summary', tot: 'msg' }] };
    const file = { filename: told(), filenameType: 'str', appendNewline: true, overwriteFile: 'false' };
    return [
      { id: 'listener', type: 'dbackup-run-events', ...at, ...heard },
      { id: 'slow', type: 'delay', ...at, ...delay },
      { id: 'line', type: 'change', ...at, ...change, wires: [['file']] },
      { id: 'file', type: 'file', ...at, ...file, wires: [] },
    ];
  }

  it('are told before the run of a flow ends, and across processes that a job works again', async () => {
    const more = listener(['succeeded', 'failed', 'recovered'], 2);
    const good = work.flow({ more });
    const bad = work.flow({ more, file: 'bad.json', files: [join(work.root, 'missing.sqlite')] });
    const run = async (flow: string) => (await dbackup(['run', flow], { env: work.env() })).code;
    assert.equal(await run(bad), 1);
    assert.equal(await run(good), 0);
    assert.equal(await run(good), 0);
    const lines = readFileSync(told(), 'utf8').trim().split('\n');
    assert.deepEqual(
      lines.map((line) => /failed|was backed up|works again/.exec(line)?.[0]),
      ['failed', 'was backed up', 'works again', 'was backed up'],
    );
  });

  it('are told of a run that a signal ends', async () => {
    const flow = work.flow({ rate: SLOW, more: listener(['cancelled'], 0) });
    const runner = new RunnerProcess(['run', flow, '--json'], { env: work.env() });
    running = runner;
    await runner.event('progress');
    runner.kill('SIGTERM');
    assert.equal((await runner.finished).code, 143);
    assert.match(readFileSync(told(), 'utf8'), /^The backup of shop was cancelled: .*SIGTERM\n$/);
  });

  it('are told over HTTP to those who know the token', async () => {
    const flow = work.flow();
    const env = work.env({ DBACKUP_API_TOKEN: TOKEN });
    const runner = new RunnerProcess(['serve', flow, '--port', '0', '--json'], { env });
    running = runner;
    const { url } = await runner.event('listening');
    const ask = (token: string) =>
      fetch(`${url}/dbackup/api/runs/events`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal((await ask('another token of thirty letters')).status, 401);
    const { status, body } = await ask(TOKEN);
    assert.equal(status, 200);
    const reader = body?.getReader();
    assert.match(new TextDecoder().decode((await reader?.read())?.value), /^retry: 3000/);
    runner.kill('SIGTERM');
    assert.equal((await runner.finished).code, 143, 'a client that listens holds nothing up');
    await until(async () => (await reader?.read())?.done === true);
  });

  it('want a token that nobody guesses', async () => {
    const env = work.env({ DBACKUP_API_TOKEN: 'secret' });
    const { code, stderr } = await dbackup(['serve', work.flow(), '--port', '0'], { env });
    assert.equal(code, 2);
    assert.match(stderr, /DBACKUP_API_TOKEN is shorter than 16 characters/);
  });
});
