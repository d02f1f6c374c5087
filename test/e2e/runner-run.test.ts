import assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FlowEntry } from '../../runner/runtime.ts';
import { backupFlow, type FlowParts, RunnerWorkspace } from '../support/runner-flows.ts';
import {
  dbackup,
  eventsOf,
  isRunning,
  RUNNER,
  type RunnerEvent,
  RunnerProcess,
} from '../support/runner-process.ts';
import { typeAtPrompts } from '../support/terminal.ts';
import { until } from '../support/until.ts';

/** MB/s at which the sample database takes several seconds. */
const SLOW = 0.05;

describe('dbackup run', function () {
  this.timeout(240_000);
  let work: RunnerWorkspace;
  /** Holds a database that is larger than what the engine buffers: its dump lasts as long as its run. */
  let large: RunnerWorkspace;

  before(() => {
    large = new RunnerWorkspace(80_000_000);
  });

  after(() => large.remove());

  beforeEach(() => {
    work = new RunnerWorkspace();
  });

  afterEach(() => work.remove());

  const run = (...args: string[]) => dbackup(['run', ...args], { env: work.env() });

  describe('ends with', () => {
    it('0 when everything is stored, and says where', async () => {
      const { code, stdout, stderr } = await run(work.flow());
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^Run \S+ of shop succeeded: /);
      assert.match(stdout, /near.*: .* in file:\/\/\/.*first shop\/\S+\n/);
      assert.equal(setsIn(work.first).length, 1);
      assert.deepEqual(setsIn(work.first), setsIn(join(work.second, 'deep', 'er')));
      assertNothingLeft(work);
    });

    it('1 when no database could be dumped', async () => {
      const { code, stdout } = await run(work.flow({ files: [join(work.root, 'missing.sqlite')] }));
      assert.equal(code, 1);
      assert.match(stdout, /of shop failed/);
      assert.match(stdout, /missing\.sqlite/);
      assert.deepEqual(setsIn(work.first), []);
    });

    it('1 when the flow dropped the message before a source', async () => {
      const { code, stderr } = await run(work.write('flow.json', gated(work)));
      assert.equal(code, 1);
      assert.match(stderr, /No backup ran/);
    });

    it('2 for a flow that is not valid, with every problem', async () => {
      const flow = work.flow({ key: { kind: 'vault', keyName: '' }, files: [] });
      const { code, stdout, stderr } = await dbackup(['run', flow], {
        env: work.env({ DBACKUP_MASTER_KEY: undefined }),
      });
      assert.equal(code, 2);
      assert.equal(stdout, '');
      assert.match(stderr, /src.*files/);
      assert.match(stderr, /no master secret/);
      assert.equal(existsSync(work.data), false);
    });

    for (const [what, args, message] of [
      ['no flow', [], /missing required argument 'flow'/],
      ['a flow that is not there', ['nowhere.json'], /nowhere\.json cannot be read/],
      ['an option that does not exist', ['flow.json', '--fast'], /unknown option '--fast'/],
      ['a deadline that is no time', ['flow.json', '--deadline', 'soon'], /"soon" is not a time/],
      [
        'a trigger that does not exist',
        ['flow.json', '--trigger', 'weekly'],
        /No inject or schedule node "weekly"/,
      ],
    ] as const) {
      it(`2 for ${what}`, async () => {
        work.flow();
        const { code, stderr } = await dbackup(['run', ...args], { env: work.env(), cwd: work.root });
        assert.equal(code, 2, stderr);
        assert.match(stderr, message);
      });
    }

    it('3 when the history cannot be written, and touches nothing', async () => {
      writeFileSync(work.data, 'a file where the folder should be');
      const { code, stderr } = await run(work.flow());
      assert.equal(code, 3);
      assert.match(stderr, /The store .* cannot be (used|written)/);
      assert.deepEqual(setsIn(work.first), []);
    });

    it('4 when the deadline comes first', async () => {
      const { code, stderr } = await run(work.flow({ rate: SLOW }), '--deadline', '2s');
      assert.equal(code, 4, stderr);
      assert.match(stderr, /The deadline of 2s has passed/);
      assertNothingStored(work);
      assertNothingLeft(work);
    });

    it('5 when one of several databases failed', async () => {
      const broken = work.write('broken.sqlite', 'this is not a database '.repeat(300));
      const { code, stdout } = await run(work.flow({ files: [work.database, broken] }));
      assert.equal(code, 5);
      assert.match(stdout, /of shop partial/);
      assert.match(stdout, /broken\.sqlite failed: /);
      assert.equal(setsIn(work.first).length, 1);
    });

    it('5 when one of several destinations failed', async () => {
      const { code, stdout } = await run(work.flow({ secondRoot: join(work.root, 'not-mounted') }));
      assert.equal(code, 5);
      assert.match(stdout, /far.* failed: .*not-mounted/);
      assert.equal(setsIn(work.first).length, 1);
    });

    it('5 when a node after the backup failed, even if a Catch node took the error', async () => {
      const check = {
        id: 'check',
        type: 'dbackup-verify',
        z: 'tab',
        x: 1,
        y: 1,
        from: 'path',
        storage: 'disk1',
        path: 'shop/none',
        level: 'hash',
        schemaVersion: 1,
        wires: [[]],
      };
      const catcher = { id: 'c', type: 'catch', z: 'tab', x: 1, y: 1, scope: null, wires: [[]] };
      const { code, stderr } = await run(work.flow({ afterFirst: ['check'], more: [check, catcher] }));
      assert.equal(code, 5, stderr);
      assert.match(stderr, /taken by a Catch node.*shop\/none/);
    });

    for (const [signal, expected] of [
      ['SIGTERM', 143],
      ['SIGINT', 130],
    ] as const) {
      it(`${expected} on ${signal}, with nothing left of the run`, async () => {
        const flow = work.flow({ rate: SLOW, files: [large.database] });
        const runner = new RunnerProcess(['run', flow, '--json'], { env: work.env() });
        await bytesStored(runner);
        // The dump runs in a process of its own.
        await until(() => runner.children().length > 0);
        const children = runner.children();
        runner.kill(signal);
        const { code, stdout } = await runner.finished;
        assert.equal(code, expected);
        const events = eventsOf(stdout);
        assert.equal(only(events, 'run-finished').state, 'cancelled');
        assert.equal(only(events, 'finished').exitCode, expected);
        assert.deepEqual(children.filter(isRunning), []);
        assertNothingStored(work);
        assertNothingLeft(work);
      });
    }

    it('at once on a second signal', async () => {
      const func = "node.on('close', (done) => setTimeout(done, 14000)); return msg;";
      const slow = { id: 'slow', type: 'function', z: 'tab', x: 1, y: 1, func, outputs: 1, wires: [[]] };
      const flow = changed(work, 'go', { wires: [['src', 'slow']] }, { rate: SLOW, more: [slow] });
      const runner = new RunnerProcess(['run', work.write('flow.json', flow), '--json'], { env: work.env() });
      await bytesStored(runner);
      runner.kill('SIGTERM');
      await runner.event('run-finished');
      const asked = performance.now();
      runner.kill('SIGINT');
      assert.equal((await runner.finished).code, 130);
      assert.ok(performance.now() - asked < 10_000, 'it did not wait for the node that takes its time');
    });
  });

  describe('--json', () => {
    it('tells the run as documented events', async () => {
      const { code, stdout, stderr } = await run(work.flow({ rate: 1 }), '--json');
      assert.equal(code, 0, stderr);
      assert.equal(stderr, '');
      const events = eventsOf(stdout);
      const kinds = events.map(({ event }) => event).filter((kind) => kind !== 'log');
      assert.deepEqual(kinds.slice(0, 2), ['run-opened', 'run-started']);
      assert.deepEqual(kinds.slice(-2), ['run-finished', 'finished']);
      const progress = events.filter(({ event }) => event === 'progress');
      assert.ok(progress.length > 2);
      const raw = progress.map(({ rawBytes }) => Number(rawBytes));
      assert.deepEqual(
        raw,
        raw.toSorted((a, b) => a - b),
      );
      const finished = only(events, 'run-finished');
      assert.equal(finished.state, 'succeeded');
      assert.ok(Number(finished.rawBytes) > 1_000_000);
      const destinations = finished.destinations as { label: string; set: { path: string } }[];
      assert.deepEqual(
        destinations.map(({ set }) => existsSync(join(work.first, set.path, 'manifest.json'))),
        [true, true],
      );
      assert.equal(only(events, 'finished').exitCode, 0);
    });

    it('tells problems of the flow and errors as events', async () => {
      const invalid = await run(work.flow({ files: [] }), '--json');
      assert.equal(invalid.code, 2);
      assert.deepEqual(
        eventsOf(invalid.stdout).map(({ event, code, exitCode }) => [event, code ?? exitCode]),
        [
          ['problem', 'invalid-field'],
          ['finished', 2],
        ],
      );
      const missing = await run('nowhere.json', '--json');
      assert.deepEqual(
        eventsOf(missing.stdout).map(({ event }) => event),
        ['error', 'finished'],
      );
    });
  });

  it('--quiet says nothing when all is well', async () => {
    const { code, stdout, stderr } = await run(work.flow(), '--quiet');
    assert.deepEqual([code, stdout, stderr], [0, '', '']);
  });

  it('draws a bar on a terminal, and leaves the terminal as it was', async () => {
    const env = Object.entries(work.env()).map(([name, value]) => `${name}=${value}`);
    const flow = work.flow({ rate: 0.5 });
    const { code, shown } = await typeAtPrompts(['env', ...env, process.execPath, RUNNER, 'run', flow], []);
    const text = Buffer.from(shown, 'latin1').toString('utf8');
    assert.equal(code, 0, text);
    assert.match(text, /[█░]+ shop\.sqlite dumping .* of 2\.\d MB, .*\/s/);
    assert.ok(text.lastIndexOf('\u001b[?25h') > text.lastIndexOf('\u001b[?25l'), 'the cursor is shown again');
    assert.match(text.slice(text.lastIndexOf('dumping')), /Run \S+ of shop succeeded/);
  });

  it('asks which trigger is meant when there are several, and takes the named one', async () => {
    const second = { id: 'go2', type: 'inject', name: 'weekly', z: 'tab', x: 1, y: 1, wires: [['src']] };
    const flow = work.flow({ more: [second] });
    const unclear = await run(flow);
    assert.equal(unclear.code, 2);
    assert.match(unclear.stderr, /"go" \(inject go\), "weekly" \(inject go2\)/);
    assert.equal((await run(flow, '--trigger', 'weekly')).code, 0);
    assert.equal(setsIn(work.first).length, 1);
  });

  it('goes on without a message that a node keeps, after the time that was given for it', async () => {
    const func = 'if (msg.never) node.done();';
    const keeper = { id: 'keeper', type: 'function', z: 'tab', x: 1, y: 1, func, outputs: 0, wires: [] };
    const flow = work.flow({ settings: { src: { wires: [['zip', 'keeper']] } }, more: [keeper] });
    // Long enough for the nodes of a busy machine, and less than the usual 30 s.
    const { code, stderr } = await run(flow, '--planning', '8s');
    assert.equal(code, 0, stderr);
    assert.match(stderr, /goes on without the message that node function keeper has held for 8 s/);
    assert.equal(setsIn(work.first).length, 1);
    assert.equal((await run(flow, '--planning', 'soon')).code, 2);
  });

  it('runs once, whatever schedule the inject node has', async () => {
    const { code, stdout } = await run(work.write('flow.json', scheduled(work)), '--json');
    assert.equal(code, 0);
    assert.equal(eventsOf(stdout).filter(({ event }) => event === 'run-finished').length, 1);
  });

  it('keeps a history of its runs, and of those that were killed', async () => {
    assert.equal((await run(work.flow())).code, 0);
    const killed = new RunnerProcess(['run', work.flow({ rate: SLOW }), '--json'], { env: work.env() });
    await bytesStored(killed);
    const children = killed.children();
    killed.kill('SIGKILL');
    await killed.finished;
    const { stdout } = await dbackup(['runs', '--json'], { env: work.env() });
    const [newest, oldest] = JSON.parse(stdout).runs;
    assert.equal(newest.state, 'failed');
    assert.match(newest.error.message, /ended before the run did/);
    assert.equal(oldest.state, 'succeeded');
    assert.equal(oldest.destinations.length, 2);
    const table = await dbackup(['runs', '--limit', '1'], { env: work.env() });
    assert.equal(table.stdout.trim().split('\n').length, 2);
    for (const child of children) if (isRunning(child)) process.kill(child, 'SIGKILL');
  });
});

/** Names of the committed sets of the job below a storage folder. */
function setsIn(folder: string): string[] {
  const job = join(folder, 'shop');
  if (!existsSync(job)) return [];
  return readdirSync(job).filter((name) => existsSync(join(job, name, 'manifest.json')));
}

function assertNothingStored(work: RunnerWorkspace): void {
  assert.deepEqual(readdirSync(work.first, { recursive: true }), []);
  assert.deepEqual(readdirSync(work.second, { recursive: true }), []);
}

/** No spool, no lock, no temporary file. */
function assertNothingLeft(work: RunnerWorkspace): void {
  assert.deepEqual(readdirSync(work.temp), []);
  assert.deepEqual(readdirSync(join(work.data, 'instances')), []);
  for (const folder of [work.first, work.second]) {
    const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    assert.deepEqual(
      names.filter((name) => /(^|\/)\./.test(name)),
      [],
    );
  }
}

/** Resolves when the run is in full swing: bytes have come to a destination. */
function bytesStored(runner: RunnerProcess): Promise<true> {
  return runner.seen((stdout) =>
    eventsOf(stdout).some(
      ({ event, storedBytes }) =>
        event === 'progress' &&
        Object.values(storedBytes as Record<string, number>).some((bytes) => bytes > 0),
    )
      ? true
      : undefined,
  );
}

function only(events: readonly RunnerEvent[], kind: string): RunnerEvent {
  const [event, ...others] = events.filter((each) => each.event === kind);
  assert.ok(event !== undefined && others.length === 0, `one ${kind}`);
  return event;
}

/** A flow whose switch lets nothing through. */
function gated(work: RunnerWorkspace): FlowEntry[] {
  const rules = [{ t: 'eq', v: 'never', vt: 'str' }];
  const gate = {
    id: 'gate',
    type: 'switch',
    z: 'tab',
    x: 1,
    y: 1,
    property: 'payload',
    rules,
    wires: [['src']],
  };
  return [...changed(work, 'go', { wires: [['gate']] }), gate];
}

function scheduled(work: RunnerWorkspace): FlowEntry[] {
  return changed(work, 'go', { once: true, onceDelay: 0.1, repeat: '1' });
}

/** The usual flow with other settings for one node. */
function changed(work: RunnerWorkspace, id: string, settings: object, parts: FlowParts = {}): FlowEntry[] {
  return backupFlow(work, parts).map((node) => (node.id === id ? { ...node, ...settings } : node));
}
