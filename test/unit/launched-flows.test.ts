import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { EngineEvents } from '../../lib/runs/outcome.ts';
import { LaunchedFlows } from '../../nodes/launched-flows.ts';
import type { HeldMessage } from '../../nodes/run-tracker-port.ts';

const HOUR_MS = 3_600_000;

/** A tracker, an engine and a deploy that do what a test says. */
class World {
  readonly runs = new Set<string>();
  readonly active = new Set<string>();
  readonly gone = new Set<string>();
  readonly lost: string[] = [];
  readonly sent: string[] = [];
  readonly events = new EventEmitter<EngineEvents>();
  held: HeldMessage[] = [];
  ended: () => void = () => undefined;
  deploying: (() => void)[] | undefined;
  calls = 0;
  readonly flows = new LaunchedFlows({
    tracker: {
      trace: (_messageId, ended) => {
        this.ended = ended;
        return { runs: this.runs, held: () => this.held };
      },
    },
    engine: { events: this.events, isActive: (runId) => this.active.has(runId) },
    deploys: {
      afterDeploy: (action) => {
        if (this.deploying === undefined) action();
        else this.deploying.push(action);
        return undefined;
      },
    },
    isRunning: ({ id }) => !this.gone.has(id),
    lost: (nodes) => void this.lost.push(...nodes),
  });

  readonly count = (): void => {
    this.calls += 1;
  };

  constructor() {
    this.flows.onEnded('clock', this.count);
  }

  launch(id: string): void {
    this.flows.launch('clock', { _msgid: id }, () => this.sent.push(id));
  }

  holds(type: string, heldMs: number, place: HeldMessage['place'] = 'node'): void {
    this.held = [{ node: { id: 'n', type, name: 'N' }, place, joined: false, heldMs }];
  }

  finished(runId: string): void {
    this.active.delete(runId);
    this.events.emit('finished', { runId } as never);
  }
}

describe('launched flows', () => {
  it('go on until the last message is gone', () => {
    const world = new World();
    assert.equal(world.flows.isActive('clock'), false);
    world.launch('a');
    assert.deepEqual([world.sent, world.flows.isActive('clock')], [['a'], true]);
    assert.equal(world.flows.isActive('another node'), false);
    world.ended();
    assert.deepEqual([world.flows.isActive('clock'), world.calls], [false, 1]);
  });

  it('tell why a message was launched, as long as something of it goes on', () => {
    const world = new World();
    world.flows.launch('clock', { _msgid: 'a' }, () => undefined, { reason: 'catch-up' });
    world.flows.launch('clock', { _msgid: 'b' }, () => undefined);
    const reasons = () => ['a', 'b', 'c'].map((id) => world.flows.reasonOf({ _msgid: id }));
    assert.deepEqual(reasons(), ['catch-up', 'manual', undefined]);
    assert.equal(world.flows.reasonOf({}), undefined);
    world.ended();
    assert.deepEqual(reasons(), ['catch-up', undefined, undefined]);
  });

  it('know the lease of a message until it is nowhere any more, also when it was not waited for', () => {
    const world = new World();
    const lease = { lost: new AbortController().signal, isLost: async () => false };
    world.flows.launch('clock', { _msgid: 'a' }, () => undefined, { reason: 'schedule', lease });
    const endFirst = world.ended;
    world.launch('b');
    world.runs.add('r');
    assert.deepEqual(world.flows.runsOf('clock', lease), ['r']);
    assert.equal(world.flows.leaseOf({ _msgid: 'a' }), lease);
    assert.equal(world.flows.leaseOf({ _msgid: 'b' }), undefined);
    assert.equal(world.flows.leaseOf({}), undefined);
    world.holds('function', 7 * HOUR_MS);
    assert.equal(world.flows.isActive('clock'), false);
    assert.equal(world.flows.leaseOf({ _msgid: 'a' }), lease);
    endFirst();
    assert.equal(world.flows.leaseOf({ _msgid: 'a' }), undefined);
  });

  it('tell a node that is gone nothing, and the one that has its id now everything', () => {
    const world = new World();
    let later = 0;
    const count = () => {
      later += 1;
    };
    world.flows.onEnded('clock', count);
    world.flows.offEnded('clock', world.count);
    world.launch('a');
    world.ended();
    world.flows.offEnded('clock', count);
    world.launch('b');
    world.ended();
    assert.deepEqual([world.calls, later], [0, 1]);
  });

  it('go on until the last of several has ended', () => {
    const world = new World();
    world.launch('a');
    const endFirst = world.ended;
    world.launch('b');
    endFirst();
    assert.deepEqual([world.flows.isActive('clock'), world.calls], [true, 0]);
    world.ended();
    assert.deepEqual([world.flows.isActive('clock'), world.calls], [false, 1]);
  });

  it('go on as long as a run that they have opened, when a deploy has taken its messages', () => {
    const world = new World();
    world.launch('a');
    world.runs.add('r');
    world.active.add('r');
    world.ended();
    assert.equal(world.flows.isActive('clock'), true);
    world.finished('another');
    assert.equal(world.flows.isActive('clock'), true);
    world.finished('r');
    assert.deepEqual([world.flows.isActive('clock'), world.calls], [false, 1]);
  });

  it('count from the moment that they are asked for, also while a deploy holds them back', () => {
    const world = new World();
    world.deploying = [];
    world.launch('a');
    assert.deepEqual([world.sent, world.flows.isActive('clock')], [[], true]);
    for (const action of world.deploying) action();
    assert.deepEqual([world.sent, world.flows.isActive('clock')], [['a'], true]);
  });

  it('do not wait for ever for a node of other people that never says that it is done', () => {
    const world = new World();
    world.launch('a');
    world.holds('exec', 5.9 * HOUR_MS);
    assert.equal(world.flows.isActive('clock'), true);
    assert.deepEqual(world.flows.holders('clock'), ['"N" (exec)']);
    world.holds('exec', 6.1 * HOUR_MS);
    assert.equal(world.flows.isActive('clock'), false);
    assert.deepEqual([world.lost, world.calls], [['"N" (exec)'], 1]);
  });

  it('wait for our own nodes and for delays, however long that is', () => {
    for (const type of ['dbackup-local', 'dbackup-verify', 'delay']) {
      const world = new World();
      world.launch('a');
      world.holds(type, 100 * HOUR_MS);
      assert.equal(world.flows.isActive('clock'), true, type);
    }
  });

  it('wait for a node of other people while a backup of theirs still runs', () => {
    const world = new World();
    world.launch('a');
    world.runs.add('r');
    world.active.add('r');
    world.holds('exec', 100 * HOUR_MS);
    assert.equal(world.flows.isActive('clock'), true);
  });

  it('do not wait for a message that came to a node which a deploy had replaced', () => {
    const world = new World();
    world.launch('a');
    world.gone.add('n');
    world.holds('dbackup-local', 1, 'transit');
    assert.equal(world.flows.isActive('clock'), true, 'it is still on its way');
    world.holds('dbackup-local', 1);
    assert.equal(world.flows.isActive('clock'), false);
    assert.deepEqual(world.lost, [], 'that is nobody’s fault');
  });
});
