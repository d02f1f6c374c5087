import assert from 'node:assert/strict';
import type { FlowEntry } from '../../runner/runtime.ts';
import { startTestRuntime, type TestRuntime } from '../support/embedded.ts';
import { delay, destination, functionNode, node, opening, step } from '../support/flows.ts';
import type { StubRun } from '../support/tracker-nodes.ts';
import { until } from '../support/until.ts';

const DEADLINE_MS = 250;

async function withRuntime(
  flows: readonly FlowEntry[],
  body: (started: TestRuntime) => Promise<void>,
): Promise<void> {
  const started = await startTestRuntime(flows);
  started.engine.deadlineMs = DEADLINE_MS;
  try {
    await body(started);
  } finally {
    await started.stop();
  }
}

async function firstRun({ runtime, engine }: TestRuntime): Promise<StubRun> {
  runtime.fire('in');
  await until(() => engine.runs.length > 0);
  const [run] = engine.runs;
  assert.ok(run !== undefined);
  return run;
}

describe('Run tracker: messages that are lost', () => {
  it('goes on without a message that a node never reports, and names the node', () =>
    withRuntime(
      [...opening('bad', 'd1'), node('bad', 'test-loser', [[]], { name: 'black hole' }), destination('d1')],
      async (started) => {
        const begun = performance.now();
        const run = await firstRun(started);
        await until(() => run.seals > 0);
        assert.ok(run.sealedAt - begun >= DEADLINE_MS - 5, 'not before the deadline');
        assert.deepEqual(run.joinedAtSeal, ['src>d1']);
        const warning = started.lines.find((line) => line.level === 'warn');
        assert.match(warning?.message ?? '', /"black hole" \(test-loser, bad\)/);
        await started.runtime.tracker.idle();
        assert.equal(run.seals, 1);
      },
    ));

  it('goes on without a message whose handler threw before it could report', () =>
    withRuntime(
      [...opening('bad', 'd1'), node('bad', 'test-throwing', [[]]), destination('d1')],
      async (started) => {
        const run = await firstRun(started);
        await until(() => run.seals > 0);
        assert.deepEqual(run.joinedAtSeal, ['src>d1']);
        assert.match(
          started.lines.find((line) => line.level === 'error')?.message ?? '',
          /this handler throws/,
        );
      },
    ));

  it('counts the deadline from the last movement', () =>
    withRuntime(
      [
        ...opening('bad', 'f1'),
        node('bad', 'test-loser', [[]]),
        ...['f1', 'f2', 'f3'].map((id, index) =>
          functionNode(
            id,
            `await new Promise((resolve) => setTimeout(resolve, ${DEADLINE_MS * 0.6})); return msg;`,
            [[['f2', 'f3', 'd1'][index] ?? '']],
          ),
        ),
        destination('d1'),
      ],
      async (started) => {
        const run = await firstRun(started);
        await until(() => run.seals > 0);
        assert.deepEqual(run.joinedAtSeal, ['src>d1'], 'three slow nodes in a row are not lost');
      },
    ));

  it('waits for a delay node that is slower than the deadline, also inside a link call', () =>
    withRuntime(
      [
        ...opening('call', 'd1'),
        node('call', 'link call', [['d2']], { links: ['into'], linkType: 'static', timeout: '5' }),
        node('into', 'link in', [['wait']], { links: [] }),
        delay('wait', DEADLINE_MS * 2.5, 'back'),
        node('back', 'link out', [], { mode: 'return', links: [] }),
        destination('d1'),
        destination('d2'),
      ],
      async (started) => {
        const run = await firstRun(started);
        await until(() => run.seals > 0);
        assert.deepEqual(run.joinedAtSeal, ['src>d1', 'src>d2']);
        assert.deepEqual(
          started.lines.filter((line) => line.level === 'warn'),
          [],
        );
      },
    ));

  it('tells where messages are', () =>
    withRuntime(
      [...opening('bad', 'd1'), node('bad', 'test-loser', [[]]), destination('d1')],
      async ({ runtime, engine }) => {
        engine.running = () => new Promise(() => {});
        runtime.fire('in');
        await until(() => engine.runs[0]?.joined.length === 1);
        const held = runtime.tracker.activity().map(({ node: at, place, joined }) => [at.id, place, joined]);
        assert.deepEqual(held.toSorted(), [
          ['bad', 'node', false],
          ['d1', 'node', true],
        ]);
      },
    ));
});

describe('Run tracker: redeploys', () => {
  const OTHER: FlowEntry[] = [
    { id: 'other', type: 'tab', label: 'Other' },
    node('o1', 'test-step', [['o2']], { z: 'other' }),
    node('o2', 'test-sink', [], { z: 'other' }),
  ];
  const planning = [
    ...opening('d1', 'wait'),
    destination('d1', 'sink1'),
    delay('wait', 400, 'd2'),
    destination('d2', 'sink2'),
    node('sink1', 'test-sink'),
    node('sink2', 'test-sink'),
  ];
  const renamed = (flows: readonly FlowEntry[], id: string): FlowEntry[] =>
    flows.map((entry) => (entry.id === id ? { ...entry, name: 'renamed' } : entry));

  for (const type of ['nodes', 'flows'] as const) {
    it(`leaves a planning run alone when another tab is deployed (${type})`, () =>
      withRuntime([...planning, ...OTHER], async (started) => {
        const run = await firstRun(started);
        await until(() => run.joined.length === 1);
        await started.runtime.deploy(renamed([...planning, ...OTHER], 'o1'), type);
        assert.equal(run.seals, 0, 'the delayed branch is still waited for');
        await until(() => run.seals > 0);
        assert.deepEqual(run.joinedAtSeal, ['src>d1', 'src>d2']);
        await until(() => started.engine.sunk.length === 2);
      }));
  }

  for (const type of ['nodes', 'flows', 'full'] as const) {
    it(`ends what a redeployed node held, and runs what had joined (${type})`, () =>
      withRuntime(planning, async (started) => {
        const run = await firstRun(started);
        await until(() => run.joined.length === 1);
        await started.runtime.deploy(renamed(planning, 'wait'), type);
        await until(() => run.seals > 0);
        assert.deepEqual(run.joinedAtSeal, ['src>d1']);
        await until(() => started.engine.sunk.length === 1);
        assert.deepEqual(started.engine.sunk, ['sink1']);
      }));

    it(`ends what a node that never reports held when it is redeployed (${type})`, () =>
      withRuntime(
        [...opening('bad', 'd1'), node('bad', 'test-loser'), destination('d1')],
        async (started) => {
          started.engine.deadlineMs = 60_000;
          const run = await firstRun(started);
          await until(() => run.joined.length === 1);
          const flows = [
            ...opening('bad', 'd1'),
            node('bad', 'test-loser', [], { name: 'renamed' }),
            destination('d1'),
          ];
          await started.runtime.deploy(flows, type);
          await until(() => run.seals > 0);
          assert.deepEqual(run.joinedAtSeal, ['src>d1']);
        },
      ));

    it(`runs on, and sends the result from the node that then bears the id (${type})`, () =>
      withRuntime(planning, async (started) => {
        const commit = Promise.withResolvers<void>();
        started.engine.running = () => commit.promise;
        const run = await firstRun(started);
        await until(() => run.seals > 0);
        const rewired = renamed(renamed(planning, 'd1'), 'd2').map((entry) =>
          entry.id === 'd1' ? { ...entry, wires: [['sink2']] } : entry,
        );
        await started.runtime.deploy(rewired, type);
        assert.deepEqual(started.engine.sunk, []);
        commit.resolve();
        await until(() => started.engine.sunk.length === 2);
        assert.deepEqual(started.engine.sunk, ['sink2', 'sink2']);
        await started.runtime.tracker.idle();
        assert.equal(run.seals, 1);
      }));
  }

  it('counts new runs after a redeploy, with the nodes that then run', () =>
    withRuntime(planning, async (started) => {
      await started.runtime.deploy([...opening('s'), step('s', 'd9'), destination('d9')], 'full');
      const run = await firstRun(started);
      await until(() => run.seals > 0);
      assert.deepEqual(run.joinedAtSeal, ['src>s>d9']);
    }));

  it('goes on when the source itself is redeployed while its branch waits', () =>
    withRuntime(planning, async (started) => {
      const run = await firstRun(started);
      await until(() => run.joined.length === 1);
      await started.runtime.deploy(renamed(planning, 'src'), 'nodes');
      assert.equal(run.seals, 0);
      await until(() => run.seals > 0);
      assert.deepEqual(run.joinedAtSeal, ['src>d1', 'src>d2']);
    }));
});
