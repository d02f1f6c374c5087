import assert from 'node:assert/strict';
import { type FlowNode, parseFlow } from '../../lib/plan/flow-file.ts';
import type { BackupNodeType } from '../../lib/plan/flow-problem.ts';
import { chooseTrigger, flowTriggers, withoutSchedules } from '../../lib/plan/flow-triggers.ts';

const SOURCE: BackupNodeType = { type: 'src', role: 'source', references: () => [], check: () => [] };
const VERIFY: BackupNodeType = { ...SOURCE, type: 'verify', role: 'other' };
const STORE: BackupNodeType = { ...SOURCE, type: 'dst', role: 'destination' };
const SCHEDULE: BackupNodeType = { ...SOURCE, type: 'clock', role: 'trigger' };
const TYPES = new Map([SOURCE, VERIFY, STORE, SCHEDULE].map((type) => [type.type, type]));

function flow(...nodes: object[]): FlowNode[] {
  return parseFlow(JSON.stringify([{ id: 't', type: 'tab' }, ...nodes]), 'f');
}

function inject(id: string, to: string[], extra: object = {}) {
  return { id, type: 'inject', z: 't', wires: [to], repeat: '60', crontab: '', once: true, ...extra };
}

const source = { id: 's', type: 'src', z: 't', wires: [[]] };
const ids = (nodes: readonly FlowNode[]) => nodes.map(({ id }) => id);

describe('flow triggers', () => {
  it('are the inject nodes that lead to something to do', () => {
    const nodes = flow(
      inject('near', ['s']),
      inject('far', ['f']),
      { id: 'f', type: 'function', z: 't', wires: [['s']] },
      inject('other', ['log']),
      { id: 'log', type: 'debug', z: 't' },
      inject('check', ['v']),
      { id: 'v', type: 'verify', z: 't' },
      inject('pointless', ['dst']),
      { id: 'dst', type: 'dst', z: 't' },
      inject('off', ['s'], { d: true }),
      { id: 'c', type: 'catch', z: 't', scope: null, wires: [['s']] },
      source,
    );
    assert.deepEqual(ids(flowTriggers(nodes, TYPES)), ['near', 'far', 'check']);
  });

  it('are schedule nodes that lead to something to do, too', () => {
    const schedule = (id: string, to: string) => ({ id, type: 'clock', z: 't', wires: [[to]] });
    const nodes = flow(
      schedule('nightly', 's'),
      inject('pause', ['nightly']),
      schedule('idle', 'log'),
      source,
      {
        id: 'log',
        type: 'debug',
        z: 't',
      },
    );
    assert.deepEqual(ids(flowTriggers(nodes, TYPES)), ['nightly']);
  });

  it('leave out those inside subflows', () => {
    const nodes = flow({ id: 'sf', type: 'subflow' }, inject('i', ['s'], { z: 'sf' }), {
      ...source,
      z: 'sf',
    });
    assert.deepEqual(flowTriggers(nodes, TYPES), []);
  });

  it('are chosen by id, by name, or because there is one only', () => {
    const two = flow(inject('a', ['s'], { name: 'nightly' }), inject('b', ['s'], { name: 'b' }), source);
    const triggers = flowTriggers(two, TYPES);
    assert.equal(chooseTrigger(triggers, 'nightly').id, 'a');
    assert.equal(chooseTrigger(triggers, 'b').id, 'b');
    assert.equal(chooseTrigger(triggers.slice(0, 1), undefined).id, 'a');
    assert.throws(() => chooseTrigger(triggers, undefined), {
      code: 'invalid-config',
      message: /Several nodes could be meant: choose one with --trigger \("nightly" \(inject a\), "b"/,
    });
    assert.throws(
      () => chooseTrigger(triggers, 'weekly'),
      /No inject or schedule node "weekly" leads to a source, restore or verify node/,
    );
    assert.throws(() => chooseTrigger([], undefined), /dbackup serve/);
    const [first] = triggers;
    assert.ok(first);
    assert.throws(() => chooseTrigger([first, first], 'a'), /name one by its id/);
  });

  it('do not fire by themselves in a run by hand, what prepares the flow still does', () => {
    const nodes = flow(inject('start', ['s']), inject('prepare', ['log']), source);
    const prepared = withoutSchedules(nodes, flowTriggers(nodes, TYPES));
    const settings = prepared.map(({ id, once, repeat }) => [id, once, repeat]);
    assert.deepEqual(settings, [
      ['t', undefined, undefined],
      ['start', false, ''],
      ['prepare', true, ''],
      ['s', undefined, undefined],
    ]);
  });
});
