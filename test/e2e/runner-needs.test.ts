import assert from 'node:assert/strict';
import { mkdirSync, rmSync } from 'node:fs';
import { type FlowParts, RunnerWorkspace } from '../support/runner-flows.ts';
import { dbackup, eventsOf, RunnerProcess } from '../support/runner-process.ts';
import { filesBelow } from '../support/runner-traces.ts';

describe('dbackup run, and what the run needs', function () {
  this.timeout(240_000);
  let work: RunnerWorkspace;

  beforeEach(() => {
    work = new RunnerWorkspace();
  });

  afterEach(() => work.remove());

  const flow = (needs: object, parts: FlowParts = {}) => work.flow({ ...parts, settings: { src: needs } });
  const run = (...args: string[]) => dbackup(['run', ...args], { env: work.env() });
  const ONCE = ['--attempts', '1'];
  const copies = (count: number) => ({ needs: 'copies', copies: count });

  it('ends with 5 when a destination fails that is needed', async () => {
    rmSync(work.second, { recursive: true });
    const { code, stdout } = await run(flow({ needs: 'all' }), ...ONCE);
    assert.equal(code, 5, stdout);
    assert.match(stdout, /of shop partial/);
    assert.match(stdout, /"far" failed: .*does not exist/);
  });

  it('ends with 0 when any one destination is enough, and warns of the other', async () => {
    rmSync(work.second, { recursive: true });
    // An error that it takes would end the command with 5, too.
    const catcher = { id: 'c', type: 'catch', z: 'tab', x: 1, y: 1, scope: null, wires: [[]] };
    const { code, stdout, stderr } = await run(flow({ needs: 'any' }, { more: [catcher] }), ...ONCE);
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /of shop succeeded/);
    assert.match(stdout, /"far" failed, and was not needed: .*does not exist/);
    assert.match(stderr, /warn: far: .*failed, and the run does without it/);
    assert.doesNotMatch(stderr, /error/i);
  });

  it('ends with 0 when so many sets were read back and hold', async () => {
    const { code, stdout } = await run(flow(copies(2)), '--json');
    assert.equal(code, 0, stdout);
    const events = eventsOf(stdout);
    const finished = events.find(({ event }) => event === 'run-finished');
    assert.deepEqual(finished?.needs, { destinations: 'copies', copies: 2 });
    const destinations = finished?.destinations as { verified?: boolean }[];
    assert.deepEqual(
      destinations.map(({ verified }) => verified),
      [true, true],
    );
    assert.ok(events.some(({ event, stage }) => event === 'progress' && stage === 'verifying'));
  });

  it('ends with 5 when fewer hold', async () => {
    rmSync(work.second, { recursive: true });
    const { code, stdout } = await run(flow(copies(2)), ...ONCE);
    assert.equal(code, 5, stdout);
    assert.match(stdout, /near.*, verified$/m);
  });

  it('refuses more copies than there are destinations, as validate does', async () => {
    const wrong = flow(copies(3));
    for (const command of ['validate', 'run']) {
      const { code, stdout, stderr } = await dbackup([command, wrong], { env: work.env() });
      assert.equal(code, 2, stderr);
      assert.match(stdout + stderr, /needs 3 verified copies, and only 2 destinations can be reached/);
    }
    assert.deepEqual([filesBelow(work.first), filesBelow(work.second)], [[], []]);
  });

  it('tries a destination again that is missing, and tells of each attempt', async () => {
    rmSync(work.second, { recursive: true });
    const runner = new RunnerProcess(['run', flow({ needs: 'all' })], { env: work.env() });
    await runner.seen((_, stderr) =>
      /"far" gets a copy from .*"near": attempt 2 of 2/.test(stderr) ? 1 : undefined,
    );
    mkdirSync(work.second);
    const { code, stdout, stderr } = await runner.finished;
    // The attempt may have begun before the folder was there.
    assert.ok(code === 0 || code === 5, stderr);
    if (code === 0) assert.match(stdout, /far.*copied from another destination.*, at attempt 2/);
    else assert.match(stderr, /"far" got no copy from/);
  });
});
