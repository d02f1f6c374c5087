import assert from 'node:assert/strict';
import fc from 'fast-check';
import { MessageLedger } from '../../nodes/message-ledger.ts';

const node = (id: string) => ({ id, type: 'test' });

describe('Message ledger', () => {
  it('is due when the only message has ended', () => {
    const ledger = new MessageLedger(() => 0);
    const msg = {};
    ledger.open('run', node('src'), msg);
    assert.equal(ledger.isDue('run'), false);
    assert.equal(ledger.completed(node('src'), msg), 'run');
    assert.equal(ledger.isDue('run'), true);
  });

  it('counts a message object at several places', () => {
    const ledger = new MessageLedger(() => 0);
    const msg = {};
    ledger.open('run', node('src'), msg);
    ledger.sent(node('a'), msg, 'run');
    ledger.sent(node('a'), msg, 'run');
    ledger.completed(node('src'), msg);
    ledger.received(node('a'), msg, 'run', true);
    ledger.completed(node('a'), msg);
    assert.equal(ledger.isDue('run'), false, 'one of two deliveries is still on its way');
    ledger.received(node('a'), msg, 'run', false);
    ledger.returned(node('a'), msg);
    assert.equal(ledger.isDue('run'), true);
  });

  it('keeps the run of a delivered message, whatever becomes of the message object', () => {
    const ledger = new MessageLedger(() => 0);
    const msg = {};
    ledger.open('run', node('src'), {});
    ledger.sent(node('a'), msg, 'run');
    assert.equal(ledger.received(node('a'), msg, undefined, true), 'run');
  });

  it('ignores messages of no known run, and reports that come twice', () => {
    const ledger = new MessageLedger(() => 0);
    const msg = {};
    assert.equal(ledger.sent(node('a'), msg, 'stranger'), undefined);
    assert.equal(ledger.received(node('a'), msg, undefined, true), undefined);
    assert.equal(ledger.completed(node('a'), msg), undefined);
    assert.equal(ledger.total, 0);
    ledger.open('run', node('src'), msg);
    ledger.completed(node('src'), msg);
    assert.equal(ledger.completed(node('src'), msg), undefined);
    assert.equal(ledger.openCount('run'), 0);
  });

  it('forgets the messages of a sealed run, unless it counts all', () => {
    for (const countsAll of [false, true]) {
      const ledger = new MessageLedger(() => 0);
      if (countsAll) ledger.countAll();
      const msg = {};
      ledger.open('run', node('src'), {});
      ledger.sent(node('dest'), msg, 'run');
      ledger.received(node('dest'), msg, 'run', true);
      ledger.joined('run', node('dest'), msg);
      ledger.giveUp('run');
      ledger.seal('run');
      assert.equal(ledger.total, countsAll ? 1 : 0);
      ledger.completed(node('dest'), msg);
      assert.equal(ledger.total, 0);
    }
  });

  it('takes a report for the message that has not joined, when the same object came twice', () => {
    const ledger = new MessageLedger(() => 0);
    const msg = {};
    ledger.open('run', node('src'), {});
    ledger.giveUp('run');
    for (let delivery = 0; delivery < 2; delivery++) {
      ledger.sent(node('dest'), msg, 'run');
      ledger.received(node('dest'), msg, 'run', true);
    }
    ledger.joined('run', node('dest'), msg);
    ledger.completed(node('dest'), msg);
    assert.equal(ledger.isDue('run'), true);
    assert.equal(ledger.entries()[0]?.joined, true);
  });

  it('ends what closed nodes held, but not what is on its way to them', () => {
    const ledger = new MessageLedger(() => 0);
    const held = {};
    ledger.open('run', node('closed'), held);
    ledger.sent(node('closed'), {}, 'run');
    assert.deepEqual([...ledger.endInside((at) => at.id === 'closed')], ['run']);
    assert.equal(ledger.openCount('run'), 1);
  });

  it('moves a message to the run that it opens', () => {
    const ledger = new MessageLedger(() => 0);
    const msg = {};
    ledger.open('first', node('src'), {});
    ledger.sent(node('next'), msg, 'first');
    ledger.received(node('next'), msg, 'first', true);
    ledger.open('second', node('next'), msg);
    assert.equal(ledger.openCount('first'), 1);
    assert.equal(ledger.openCount('second'), 1);
    assert.equal(ledger.completed(node('next'), msg), 'second');
  });

  it('tells when a run last moved', () => {
    let now = 5;
    const ledger = new MessageLedger(() => now);
    ledger.open('run', node('src'), {});
    now = 9;
    ledger.sent(node('a'), {}, 'run');
    assert.equal(ledger.lastMoved('run'), 9);
  });

  /**
   * Plays random flows of several runs at once. Messages are handed on cloned or not, nodes report or not,
   * send before or after they report, join, fail, or are closed; a plain list of what is where is the model.
   */
  it('is due exactly when no message of the run is left that has not joined', () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.nat(1000)), fc.integer({ min: 1, max: 4 }), (dice, runCount) => {
        const roll = (sides: number): number => (dice.next().value as number) % sides;
        const ledger = new MessageLedger(() => 0);
        const model: Model[] = [];
        const sealed = new Set<string>();
        const runs = Array.from({ length: runCount }, (_, index) => `run-${index}`);
        for (const runId of runs) {
          const start: Model = {
            runId,
            msg: {},
            at: node(`src-${runId}`),
            place: 'node',
            reports: true,
            joined: false,
          };
          ledger.open(runId, start.at, start.msg);
          model.push(start);
        }
        for (let moves = 0; model.length > 0 && moves < 2000; moves++) {
          const [entry] = model.splice(roll(model.length), 1);
          assert.ok(entry !== undefined);
          advance(ledger, model, entry, roll, moves > 60);
          for (const runId of runs) {
            const open = model.some((other) => other.runId === runId && !other.joined);
            assert.equal(ledger.isDue(runId), !open && !sealed.has(runId), `${runId} after ${moves} moves`);
            if (!ledger.isDue(runId) || roll(2) === 0) continue;
            ledger.seal(runId);
            sealed.add(runId);
          }
        }
        for (const runId of runs) assert.ok(sealed.has(runId) || ledger.isDue(runId));
        for (const runId of runs) ledger.seal(runId);
        assert.equal(ledger.total, 0);
      }),
      { numRuns: 500 },
    );
  });
});

interface Model {
  readonly runId: string;
  readonly msg: object;
  readonly at: { id: string; type: string };
  readonly place: 'transit' | 'node';
  readonly reports: boolean;
  readonly joined: boolean;
}

/** Moves one message one step on, in the ledger and in the model. */
function advance(
  ledger: MessageLedger,
  model: Model[],
  entry: Model,
  roll: (sides: number) => number,
  ending: boolean,
): void {
  const { runId, msg, at } = entry;
  if (entry.place === 'transit') {
    const reports = at.id !== 'n0';
    ledger.received(at, msg, runId, reports);
    if (reports) {
      model.push({ ...entry, place: 'node', reports });
      return;
    }
    if (!ending) sendOn(ledger, model, entry, roll);
    ledger.returned(at, msg);
    return;
  }
  const action = ending ? 4 : roll(6);
  const isTwin = (other: Model) => other.place === 'node' && other.at.id === at.id && other.msg === msg;
  if (entry.joined && action !== 1 && model.some((other) => isTwin(other) && !other.joined)) {
    // Of two entries for the same object in the same node, the one that has not joined ends first.
    model.push(entry);
    return;
  }
  if (action === 0 && !entry.joined) {
    ledger.joined(runId, at, msg);
    model.push({ ...entry, joined: true });
  } else if (action === 1) {
    ledger.endInside((candidate) => candidate.id === at.id);
    const gone = model.filter((other) => other.place === 'node' && other.at.id === at.id);
    for (const other of gone) model.splice(model.indexOf(other), 1);
  } else if (action === 2) {
    ledger.completed(at, msg);
    if (!entry.joined) sendOn(ledger, model, entry, roll);
  } else {
    if (action === 3 && !entry.joined) sendOn(ledger, model, entry, roll);
    ledger.completed(at, msg);
  }
}

function sendOn(
  ledger: MessageLedger,
  model: Model[],
  { runId, msg }: Model,
  roll: (sides: number) => number,
): void {
  const copies = roll(3);
  for (let copy = 0; copy < copies; copy++) {
    const sent = roll(2) === 0 ? msg : {};
    const at = node(`n${roll(5)}`);
    // Node-RED clones for all but the first receiver; the same object at the same node twice is the worst case.
    if (ledger.sent(at, sent, runId) === undefined) continue;
    model.push({ runId, msg: sent, at, place: 'transit', reports: false, joined: false });
  }
}
