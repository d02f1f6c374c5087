import assert from 'node:assert/strict';
import { Turns } from '../../lib/turns.ts';

const never = new AbortController().signal;

describe('turns', () => {
  it('are taken in their order, at most so many at a time, and not by who has given up', async () => {
    const turns = new Turns(1);
    const order: string[] = [];
    const first = await turns.take(never);
    const gone = new AbortController();
    const impatient = turns.take(gone.signal);
    const waiting = ['a', 'b'].map(async (name) => {
      const giveBack = await turns.take(never);
      order.push(name);
      giveBack();
      giveBack();
    });
    gone.abort();
    await assert.rejects(impatient, { code: 'aborted' });
    assert.deepEqual(order, []);
    assert.equal(turns.waiting, 2);
    first();
    await Promise.all(waiting);
    assert.deepEqual(order, ['a', 'b']);
    await assert.rejects(turns.take(AbortSignal.abort()), { code: 'aborted' });
    (await turns.take(never))();
  });

  it('are fewer from now on when they are lowered, as soon as those that are taken have been given back', async () => {
    const turns = new Turns(3);
    const taken = await Promise.all([turns.take(never), turns.take(never)]);
    turns.lower(1);
    let entered = false;
    const third = turns.take(never).then((giveBack) => {
      entered = true;
      return giveBack;
    });
    taken[0]?.();
    await Promise.resolve();
    assert.equal(entered, false, 'one of them still has its turn');
    assert.equal(turns.taken, 1);
    taken[1]?.();
    (await third)();
    assert.equal(turns.taken, 0);
    turns.lower(2);
    assert.equal(turns.most, 1, 'not more again');
  });
});
