import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Fanout } from '../../lib/engine/fanout.ts';
import { collect, cut, noise, outcomeOf } from '../support/byte-streams.ts';

const never = new AbortController().signal;

describe('fanout', () => {
  it('law: every output sees every byte, at any chunking and any pace', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 0, max: 50_000 }),
        fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
        async (sizes, bytes, slow) => {
          const data = noise(bytes);
          const fanout = new Fanout(cut(data, ...sizes), slow.length, never);
          const outputs = fanout.outputs.map((output, index) =>
            collect(slow[index] ? slowly(output) : output),
          );
          await fanout.run();
          for (const got of await Promise.all(outputs)) assert.ok(got.equals(data));
        },
      ),
      { numRuns: 50 },
    );
  });

  it('bounds what it holds for a slow output', async () => {
    let produced = 0;
    async function* endless() {
      for (; produced < 64; produced += 1) yield Buffer.alloc(1024 * 1024);
    }
    const fanout = new Fanout(endless(), 2, never);
    const [fast, slow] = fanout.outputs;
    assert.ok(fast !== undefined && slow !== undefined);
    const running = fanout.run();
    const fastBytes = collect(fast);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.ok(produced <= 7, `${produced} MiB were produced while one output took nothing`);
    slow.drop();
    await running;
    assert.equal((await fastBytes).length, 64 * 1024 * 1024);
  });

  it('ends the input when the last output has gone, even while the input hangs', async () => {
    let returned = false;
    const input = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<IteratorResult<Buffer>>(() => undefined),
        return: async () => {
          returned = true;
          return { done: true as const, value: undefined };
        },
      }),
    };
    const fanout = new Fanout(input, 2, never);
    const running = fanout.run();
    for (const output of fanout.outputs) output.drop();
    await running;
    assert.ok(returned);
  });

  it('gives an error of the input to every output, and none to those that have gone', async () => {
    async function* broken() {
      yield Buffer.from('abc');
      throw new Error('the tool died');
    }
    const fanout = new Fanout(broken(), 2, never);
    const outcomes = fanout.outputs.map((output) => outcomeOf(output));
    await fanout.run();
    for (const outcome of await Promise.all(outcomes)) {
      assert.ok(!outcome.ok && /the tool died/.test(String(outcome.error)));
    }
  });

  it('gives an error, not an end, to a consumer that goes on reading after it was given up', async () => {
    const fanout = new Fanout(cut(noise(3_000_000), 1000), 2, never);
    const [given, kept] = fanout.outputs;
    assert.ok(given !== undefined && kept !== undefined);
    const running = fanout.run();
    const reading = given[Symbol.asyncIterator]();
    assert.equal((await reading.next()).done, false);
    given.drop();
    await assert.rejects(reading.next(), /Nobody takes these bytes/);
    assert.equal((await collect(kept)).length, 3_000_000);
    await running;
  });

  it('ends for a consumer that has left, and for it alone', async () => {
    const fanout = new Fanout(cut(noise(3_000_000), 1000), 2, never);
    const [left, kept] = fanout.outputs;
    assert.ok(left !== undefined && kept !== undefined);
    const running = fanout.run();
    const reading = left[Symbol.asyncIterator]();
    await reading.next();
    await reading.return?.();
    assert.deepEqual(await reading.next(), { done: true, value: undefined });
    assert.equal((await collect(kept)).length, 3_000_000);
    await running;
  });

  it('is interrupted by an abort, whatever it waits for', async () => {
    const controller = new AbortController();
    async function* endless() {
      while (true) yield Buffer.alloc(1024 * 1024);
    }
    const fanout = new Fanout(endless(), 1, controller.signal);
    const running = fanout.run();
    setTimeout(() => controller.abort(new Error('enough')), 20);
    await running;
    const [output] = fanout.outputs;
    assert.ok(output !== undefined);
    const outcome = await outcomeOf(output);
    assert.ok(!outcome.ok && /enough/.test(String(outcome.error)));
  });
});

async function* slowly(input: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const chunk of input) {
    await new Promise((resolve) => setImmediate(resolve));
    yield chunk;
  }
}
