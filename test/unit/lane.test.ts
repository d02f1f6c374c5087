import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { enterLane } from '../../lib/engine/lane.ts';
import { BackupError } from '../../lib/errors.ts';

const never = new AbortController().signal;
const turn = () => new Promise((resolve) => setImmediate(resolve));

interface Comer {
  entered: boolean;
  failure: unknown;
  leave: () => void;
}

describe('lane', () => {
  let key = '';
  let number = 0;
  beforeEach(() => {
    number += 1;
    key = `postgres://server:${number}`;
  });

  /** Comes to the line; `entered` tells when it is let in. */
  function come(limit: number, signal = never) {
    const comer: Comer = { entered: false, failure: undefined, leave: () => undefined };
    enterLane({ key, limit }, signal).then(
      (leave) => {
        comer.entered = true;
        comer.leave = leave;
      },
      (error: unknown) => {
        comer.failure = error;
      },
    );
    return comer;
  }

  it('lets in as many as its limit, then one for each that leaves, in their order', async () => {
    const comers = Array.from({ length: 5 }, () => come(2));
    const inside = async () => {
      await turn();
      return comers.map(({ entered }) => entered);
    };
    assert.deepEqual(await inside(), [true, true, false, false, false]);
    comers[1]?.leave();
    assert.deepEqual(await inside(), [true, true, true, false, false]);
    comers[0]?.leave();
    comers[0]?.leave();
    assert.deepEqual(await inside(), [true, true, true, true, false]);
    comers[2]?.leave();
    assert.deepEqual(await inside(), [true, true, true, true, true]);
    for (const { leave } of comers) leave();
  });

  it('keeps servers apart', async () => {
    const first = come(1);
    key = `${key}/other`;
    const other = come(1);
    await turn();
    assert.ok(first.entered && other.entered);
    for (const { leave } of [first, other]) leave();
  });

  it('keeps the smallest limit of those who are in, and of the first who waits', async () => {
    const strict = come(1);
    const lenient = [come(3), come(3)];
    await turn();
    assert.deepEqual(
      [strict, ...lenient].map(({ entered }) => entered),
      [true, false, false],
    );
    strict.leave();
    await turn();
    assert.deepEqual(
      lenient.map(({ entered }) => entered),
      [true, true],
    );
    const strictAgain = come(1);
    const behind = come(3);
    lenient[0]?.leave();
    await turn();
    assert.deepEqual([strictAgain.entered, behind.entered], [false, false]);
    lenient[1]?.leave();
    await turn();
    assert.deepEqual([strictAgain.entered, behind.entered], [true, false]);
    strictAgain.leave();
    await turn();
    behind.leave();
  });

  it('is left by one who is aborted while it waits, and moves on', async () => {
    const controller = new AbortController();
    const inside = come(1);
    const gone = come(1, controller.signal);
    const next = come(1);
    await turn();
    controller.abort(new BackupError('aborted', 'cancelled'));
    inside.leave();
    await turn();
    assert.ok(gone.failure instanceof BackupError && gone.failure.message === 'cancelled');
    assert.ok(next.entered && !gone.entered);
    next.leave();
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
    await assert.rejects(enterLane({ key, limit: 1 }, controller.signal), /cancelled/);
  });

  it('makes way for those behind one with a small limit that is aborted', async () => {
    const controller = new AbortController();
    const inside = come(3);
    const strict = come(1, controller.signal);
    const behind = come(3);
    await turn();
    assert.deepEqual([strict.entered, behind.entered], [false, false]);
    controller.abort();
    await turn();
    assert.ok(behind.entered);
    for (const { leave } of [inside, behind]) leave();
  });

  it('law: never more than any limit allows, and everybody gets a turn in order', async () => {
    const comers = fc.array(fc.record({ limit: fc.integer({ min: 1, max: 4 }), turns: fc.nat(3) }), {
      maxLength: 20,
    });
    await fc.assert(
      fc.asyncProperty(comers, async (drawn) => {
        const inside = new Set<number>();
        const order: number[] = [];
        await Promise.all(
          drawn.map(async ({ limit, turns }, index) => {
            const leave = await enterLane({ key, limit }, never);
            inside.add(limit * 100 + index);
            order.push(index);
            const smallest = Math.min(...[...inside].map((who) => Math.floor(who / 100)));
            assert.ok(inside.size <= smallest, `${inside.size} inside, ${smallest} allowed`);
            for (let left = turns; left > 0; left -= 1) await turn();
            inside.delete(limit * 100 + index);
            leave();
          }),
        );
        assert.deepEqual(order, [...drawn.keys()]);
      }),
    );
  });
});
