import assert from 'node:assert/strict';
import { startTestRuntime, type TestRuntime } from '../support/embedded.ts';
import { delay, destination, functionNode, node, opening, step, TAB } from '../support/flows.ts';
import type { StubRun } from '../support/tracker-nodes.ts';
import { until } from '../support/until.ts';

/** Starts the flow, lets its inject node fire once, and waits until no message is anywhere. */
async function runOnce(
  flows: Parameters<typeof startTestRuntime>[0],
  prepare: (runtime: TestRuntime) => void = () => {},
): Promise<TestRuntime & { run: StubRun }> {
  const started = await startTestRuntime(flows);
  try {
    prepare(started);
    started.runtime.fire('in');
    await started.runtime.tracker.idle();
  } finally {
    await started.stop();
  }
  const [run, ...others] = started.engine.runs;
  assert.ok(run !== undefined && others.length === 0, 'one run was opened');
  assert.equal(run.seals, 1, 'sealed exactly once');
  assert.deepEqual(run.joined.toSorted(), run.joinedAtSeal, 'nothing joined after the seal');
  return { ...started, run };
}

describe('Run tracker: the routes of a message', () => {
  it('seals when the only destination has joined', async () => {
    const { run } = await runOnce([...opening('d'), destination('d')]);
    assert.deepEqual(run.joined, ['src>d']);
  });

  it('waits for a branch with a delay, so that both share one plan', async () => {
    const { run } = await runOnce([
      ...opening('d1', 'wait'),
      destination('d1'),
      delay('wait', 300, 'd2'),
      destination('d2'),
    ]);
    assert.deepEqual(run.joinedAtSeal, ['src>d1', 'src>d2']);
  });

  it('does not wait for a branch that a switch drops', async () => {
    const rules = [{ t: 'eq', v: 'never', vt: 'str' }];
    const { run } = await runOnce([
      ...opening('d1', 'gate'),
      destination('d1'),
      node('gate', 'switch', [['d2']], { property: 'topic', propertyType: 'msg', rules }),
      destination('d2'),
    ]);
    assert.deepEqual(run.joinedAtSeal, ['src>d1']);
  });

  it('follows both outputs of a switch', async () => {
    const rules = [{ t: 'true' }, { t: 'else' }, { t: 'istype', v: 'object', vt: 'object' }];
    const { run } = await runOnce([
      ...opening('gate'),
      node('gate', 'switch', [['d1'], ['d2'], ['d3']], { property: 'backup', propertyType: 'msg', rules }),
      destination('d1'),
      destination('d2'),
      destination('d3'),
    ]);
    assert.deepEqual(run.joinedAtSeal, ['src>d2', 'src>d3']);
  });

  it('follows fan-outs after every step', async () => {
    const { run } = await runOnce([
      ...opening('s1', 'd0'),
      step('s1', 'd1', 's2'),
      step('s2', 'd2', 's3'),
      step('s3', 'd3', 'd4'),
      ...['d0', 'd1', 'd2', 'd3', 'd4'].map((id) => destination(id)),
    ]);
    assert.deepEqual(run.joinedAtSeal, [
      'src>d0',
      'src>s1>d1',
      'src>s1>s2>d2',
      'src>s1>s2>s3>d3',
      'src>s1>s2>s3>d4',
    ]);
  });

  it('passes junctions and change nodes', async () => {
    const rules = [{ t: 'set', p: 'payload', pt: 'msg', to: 'x', tot: 'str' }];
    const { run } = await runOnce([
      ...opening('j'),
      node('j', 'junction', [['c', 'd1']]),
      node('c', 'change', [['d2']], { rules }),
      destination('d1'),
      destination('d2'),
    ]);
    assert.deepEqual(run.joinedAtSeal, ['src>d1', 'src>d2']);
  });

  it('follows links into another tab', async () => {
    const { run } = await runOnce([
      { id: 'other', type: 'tab', label: 'Other' },
      ...opening('out', 'd1'),
      node('out', 'link out', [], { mode: 'link', links: ['into'] }),
      destination('d1'),
      node('into', 'link in', [['wait']], { z: 'other', links: ['out'] }),
      { ...delay('wait', 50, 'd2'), z: 'other' },
      { ...destination('d2'), z: 'other' },
    ]);
    assert.deepEqual(run.joinedAtSeal, ['src>d1', 'src>d2']);
  });

  it('waits for a link call and what comes back from it', async () => {
    const { run } = await runOnce([
      ...opening('call', 'd1'),
      node('call', 'link call', [['d2']], { links: ['into'], linkType: 'static', timeout: '5' }),
      destination('d1'),
      destination('d2'),
      node('into', 'link in', [['wait']], { links: [] }),
      delay('wait', 100, 'inner'),
      step('inner', 'back', 'd3'),
      node('back', 'link out', [], { mode: 'return', links: [] }),
      destination('d3'),
    ]);
    assert.deepEqual(run.joinedAtSeal, ['src>d1', 'src>inner>d2', 'src>inner>d3']);
  });

  it('follows subflow instances, also nested, in and out', async () => {
    const inner = [
      {
        id: 'sf1',
        type: 'subflow',
        name: 'Inner',
        in: [{ wires: [{ id: 'i1' }] }],
        out: [{ wires: [{ id: 'i2', port: 0 }] }],
      },
      node('i1', 'test-step', [['i2', 'id']], { z: 'sf1' }),
      node('i2', 'delay', [[]], {
        z: 'sf1',
        pauseType: 'delay',
        timeout: '30',
        timeoutUnits: 'milliseconds',
      }),
      node('id', 'test-destination', [[]], { z: 'sf1' }),
    ];
    const outer = [
      {
        id: 'sf2',
        type: 'subflow',
        name: 'Outer',
        in: [{ wires: [{ id: 'o1' }] }],
        out: [{ wires: [{ id: 'o1', port: 0 }] }],
      },
      node('o1', 'subflow:sf1', [[]], { z: 'sf2' }),
    ];
    const { run } = await runOnce([
      ...inner,
      ...outer,
      ...opening('a', 'b'),
      node('a', 'subflow:sf1', [['d1']]),
      node('b', 'subflow:sf2', [['d2']]),
      destination('d1'),
      destination('d2'),
    ]);
    assert.deepEqual(run.joinedAtSeal, [
      'src>a-i1>a-id',
      'src>a-i1>d1',
      'src>b-o1-i1>b-o1-id',
      'src>b-o1-i1>d2',
    ]);
  });

  it('follows the copy that a Catch node gets of a failed branch', async () => {
    const { run } = await runOnce([
      ...opening('bad', 'd1'),
      node('bad', 'test-failing', [['d2']]),
      destination('d1'),
      destination('d2'),
      node('catch', 'catch', [['wait']], { scope: ['bad'] }),
      delay('wait', 50, 'd3'),
      destination('d3'),
    ]);
    assert.deepEqual(run.joinedAtSeal, ['src>d1', 'src>d3']);
  });

  it('ends a failed branch that nothing catches', async () => {
    const { run } = await runOnce([
      ...opening('bad', 'd1'),
      node('bad', 'test-failing', [['d2']]),
      destination('d1'),
      destination('d2'),
    ]);
    assert.deepEqual(run.joinedAtSeal, ['src>d1']);
  });

  it('follows the copy that a Complete node gets', async () => {
    const { run } = await runOnce([
      ...opening('s'),
      step('s', 'd1'),
      destination('d1'),
      node('complete', 'complete', [['d2']], { scope: ['s'] }),
      destination('d2'),
    ]);
    assert.deepEqual(run.joinedAtSeal, ['src>s>d1', 'src>s>d2']);
  });

  it('follows function nodes that return several messages', async () => {
    const { run } = await runOnce([
      ...opening('f'),
      functionNode('f', 'return [msg, RED.util.cloneMessage(msg), null];', [['d1'], ['s'], ['d3']]),
      destination('d1'),
      step('s', 'd2'),
      destination('d2'),
      destination('d3'),
    ]);
    assert.deepEqual(run.joinedAtSeal, ['src>d1', 'src>s>d2']);
  });

  it('follows function nodes that send one message object several times, uncloned', async () => {
    const { run } = await runOnce([
      ...opening('f'),
      functionNode('f', 'node.send([msg], false); node.send([null, msg], false); return null;', [
        ['wait'],
        ['d2'],
      ]),
      delay('wait', 50, 'd1'),
      destination('d1'),
      destination('d2'),
    ]);
    assert.deepEqual(run.joinedAtSeal, ['src>d1', 'src>d2']);
  });

  it('waits for an asynchronous function that sends and calls node.done', async () => {
    const func =
      'setTimeout(() => { node.send([msg]); setTimeout(() => { node.send([null, msg]); node.done(); }, 60); }, 60);';
    const { run } = await runOnce([
      ...opening('f', 'd0'),
      functionNode('f', func, [['d1'], ['d2']]),
      destination('d0'),
      destination('d1'),
      destination('d2'),
    ]);
    assert.deepEqual(run.joinedAtSeal, ['src>d0', 'src>d1', 'src>d2']);
  });

  it('waits for an async function that awaits', async () => {
    const { run } = await runOnce([
      ...opening('f'),
      functionNode('f', 'await new Promise((resolve) => setTimeout(resolve, 80)); return msg;', [['d1']]),
      destination('d1'),
    ]);
    assert.deepEqual(run.joinedAtSeal, ['src>d1']);
  });

  it('ends a branch whose message loses its recipe', async () => {
    const { run } = await runOnce([
      ...opening('f', 'd1'),
      functionNode('f', 'delete msg.backup; return msg;', [['sink']]),
      node('sink', 'test-sink'),
      destination('d1'),
    ]);
    assert.deepEqual(run.joinedAtSeal, ['src>d1']);
  });

  it('counts a message through split and join', async () => {
    const { run } = await runOnce([
      ...opening('f'),
      functionNode('f', 'msg.payload = [1, 2, 3]; return msg;', [['split']]),
      node('split', 'split', [['wait']], { arraySplt: 1, arraySpltType: 'len' }),
      delay('wait', 30, 'join'),
      node('join', 'join', [['d1']], { mode: 'auto' }),
      destination('d1'),
    ]);
    assert.deepEqual(run.joinedAtSeal, ['src>d1']);
  });

  it('takes the end of the handler as the end of the work for handlers without done', async () => {
    const { run } = await runOnce([
      ...opening('old', 'd1'),
      node('old', 'test-old', [['wait']]),
      delay('wait', 30, 'd2'),
      destination('d1'),
      destination('d2'),
    ]);
    assert.deepEqual(run.joinedAtSeal, ['src>d1', 'src>d2']);
  });

  it('waits for the handler with done when a node has several', async () => {
    const { run } = await runOnce([
      ...opening('two'),
      node('two', 'test-two-handlers', [['d1']]),
      destination('d1'),
    ]);
    assert.deepEqual(run.joinedAtSeal, ['src>d1']);
  });

  it('counts what a node sends right after it has called done', async () => {
    const { run } = await runOnce([
      ...opening('s'),
      node('s', 'test-send-after-done', [['d1']]),
      destination('d1'),
    ]);
    assert.deepEqual(run.joinedAtSeal, ['src>d1']);
  });

  it('does not wait for what a node sends long after it has called done', async () => {
    const trigger = {
      op1type: 'nul',
      op2: '',
      op2type: 'payl',
      duration: '100',
      units: 'ms',
      extend: 'false',
    };
    const started = await startTestRuntime([
      ...opening('t', 'd1'),
      node('t', 'trigger', [['d2']], trigger),
      destination('d1'),
      destination('d2'),
    ]);
    try {
      started.runtime.fire('in');
      await started.runtime.tracker.idle();
      const [run] = started.engine.runs;
      assert.deepEqual(run?.joinedAtSeal, ['src>d1']);
      await until(() => run?.late.length === 1);
      assert.deepEqual(run?.late, ['src>d2']);
      assert.equal(run?.seals, 1);
    } finally {
      await started.stop();
    }
  });

  it('does not wait for outputs without wires, disabled nodes and disabled tabs', async () => {
    const { run } = await runOnce([
      { id: 'off', type: 'tab', label: 'Off', disabled: true },
      ...opening('s', 'gone', 'dead', 'd1', 'out'),
      step('s'),
      node('dead', 'test-destination', [[]], { d: true }),
      node('out', 'link out', [], { mode: 'link', links: ['into'] }),
      node('into', 'link in', [['d2']], { z: 'off', links: ['out'] }),
      node('d2', 'test-destination', [[]], { z: 'off' }),
      destination('d1'),
    ]);
    assert.deepEqual(run.joinedAtSeal, ['src>d1']);
  });

  it('seals a run that nothing joins', async () => {
    const { run } = await runOnce([...opening()]);
    assert.deepEqual(run.joinedAtSeal, []);
  });

  it('keeps counting behind destinations until the whole flow is idle', async () => {
    const { engine } = await runOnce([
      ...opening('d1'),
      destination('d1', 'wait'),
      delay('wait', 100, 'sink'),
      node('sink', 'test-sink'),
    ]);
    assert.deepEqual(engine.committed, ['src>d1']);
    assert.deepEqual(engine.sunk, ['sink']);
  });

  it('keeps several runs through the same nodes apart', async () => {
    const started = await startTestRuntime([
      ...opening('s', 'd1'),
      step('s', 'wait'),
      node('wait', 'delay', [['d2']], {
        pauseType: 'random',
        randomFirst: '1',
        randomLast: '150',
        randomUnits: 'milliseconds',
      }),
      destination('d1'),
      destination('d2'),
    ]);
    try {
      for (let i = 0; i < 40; i++) started.runtime.fire('in');
      await started.runtime.tracker.idle();
    } finally {
      await started.stop();
    }
    assert.equal(started.engine.runs.length, 40);
    for (const run of started.engine.runs) {
      assert.equal(run.seals, 1);
      assert.deepEqual(run.joinedAtSeal, ['src>d1', 'src>s>d2']);
      assert.deepEqual(run.late, []);
    }
  });

  it('counts runs without counting all messages, as in the editor', async () => {
    const started = await startTestRuntime(
      [...opening('d1', 'wait'), destination('d1'), delay('wait', 60, 'd2'), destination('d2'), TAB],
      { countMessages: false },
    );
    try {
      started.runtime.fire('in');
      await started.runtime.tracker.idle();
      const [run] = started.engine.runs;
      assert.deepEqual(run?.joinedAtSeal, ['src>d1', 'src>d2']);
      assert.equal(run?.seals, 1);
      assert.deepEqual(started.runtime.tracker.activity(), []);
    } finally {
      await started.stop();
    }
  });
});
