import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { JobsBehind } from '../../nodes/jobs-behind.ts';
import type { NodeRole } from '../../nodes/node-role.ts';
import { WatchedNodes } from '../../nodes/operations/watched-nodes.ts';

interface Entry {
  readonly id: string;
  readonly type: string;
  readonly z?: string;
  readonly wires?: readonly (readonly string[])[];
  readonly [property: string]: unknown;
}

describe('the jobs behind a node', () => {
  let watched: WatchedNodes;
  let events: EventEmitter;
  let flow: Entry[];

  beforeEach(() => {
    watched = new WatchedNodes();
    events = new EventEmitter();
    flow = [{ id: 'tab', type: 'tab' }];
  });

  /** A node of the flow that runs. Its role is also its type. */
  function add(
    id: string,
    role: NodeRole | 'function',
    to: readonly string[],
    more: Partial<Entry> = {},
  ): void {
    flow.push({ id, type: role, z: 'tab', wires: [to], ...more });
    if (role !== 'function') run(id, role);
  }

  function run(id: string, role: NodeRole, template?: string): void {
    const job = role === 'source' ? `job of ${id}` : undefined;
    watched.add({ id, type: role, role, template, offers: [], job });
  }

  const behind = () => {
    const eachNode = (call: (node: object) => void) => flow.forEach(call);
    return new JobsBehind({ events, eachNode, watched });
  };

  it('are those of the sources that open a run, not of those that add themselves to it', () => {
    add('clock', 'trigger', ['change', 'app']);
    add('change', 'function', ['shop']);
    add('shop', 'source', ['files']);
    add('files', 'source', ['disk']);
    add('app', 'source', ['disk']);
    add('disk', 'destination', []);
    add('alone', 'source', ['disk']);
    assert.deepEqual(behind().jobs('clock').sort(), ['job of app', 'job of shop']);
  });

  it('are also those of runs that begin when one has been stored, and end at what does not come round', () => {
    add('clock', 'trigger', ['shop']);
    add('shop', 'source', ['disk']);
    add('disk', 'destination', ['next']);
    add('next', 'source', ['disk']);
    assert.deepEqual(behind().jobs('clock').sort(), ['job of next', 'job of shop']);
  });

  it('are not those behind another schedule, which is only told something', () => {
    add('clock', 'trigger', ['other']);
    add('other', 'trigger', ['shop']);
    add('shop', 'source', []);
    assert.deepEqual(behind().jobs('clock'), []);
    assert.deepEqual(behind().jobs('other'), ['job of shop']);
  });

  it('are not those of nodes that are disabled, or do not run', () => {
    add('clock', 'trigger', ['shop', 'broken']);
    add('shop', 'source', [], { d: true });
    flow.push({ id: 'broken', type: 'source', z: 'tab', wires: [] });
    assert.deepEqual(behind().jobs('clock'), []);
  });

  it('are those of every instance of a source in a subflow', () => {
    flow.push({ id: 'sub', type: 'subflow', in: [{ wires: [{ id: 'inner' }] }], out: [] });
    flow.push({ id: 'inner', type: 'source', z: 'sub', wires: [] });
    flow.push({ id: 'one', type: 'subflow:sub', z: 'tab', wires: [] });
    add('clock', 'trigger', ['one']);
    run('made-1', 'source', 'inner');
    assert.deepEqual(behind().sources('clock'), [{ id: 'made-1', job: 'job of made-1' }]);
  });

  it('are found anew after a deploy', () => {
    add('clock', 'trigger', ['shop']);
    add('shop', 'source', []);
    const jobs = behind();
    assert.deepEqual(jobs.jobs('clock'), ['job of shop']);
    flow = flow.filter(({ id }) => id !== 'clock');
    add('clock', 'trigger', ['app']);
    add('app', 'source', []);
    events.emit('flows:started');
    assert.deepEqual(jobs.jobs('clock'), ['job of app']);
    jobs.dispose();
    assert.equal(events.listenerCount('flows:started'), 0);
  });
});
