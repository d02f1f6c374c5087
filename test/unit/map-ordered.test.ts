import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import fc from 'fast-check';
import { mapOrdered, parallelBlocks } from '../../lib/bytes/parallel.ts';
import { BackupError } from '../../lib/errors.ts';

const never = new AbortController().signal;

async function* numbers(count: number, delays: readonly number[] = []): AsyncGenerator<number> {
  for (let value = 0; value < count; value += 1) {
    const delay = delays[value % Math.max(1, delays.length)] ?? 0;
    if (delay > 0) await wait(delay);
    yield value;
  }
}

describe('mapOrdered', () => {
  it('keeps the order and the limit, however long each item takes', async () => {
    const delays = fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: 25 }),
        fc.integer({ min: 1, max: 6 }),
        delays,
        delays,
        delays,
        async (count, inFlight, reading, working, consuming) => {
          let held = 0;
          let most = 0;
          const work = async (value: number) => {
            held += 1;
            most = Math.max(most, held);
            await wait(working[value % working.length] ?? 0);
            return value * 2;
          };
          const results: number[] = [];
          for await (const result of mapOrdered(numbers(count, reading), work, { inFlight, signal: never })) {
            held -= 1;
            results.push(result);
            await wait(consuming[result % consuming.length] ?? 0);
          }
          assert.deepEqual(
            results,
            Array.from({ length: count }, (_, index) => index * 2),
          );
          assert.ok(most <= inFlight + 1, `${most} items at once`);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('really works on several items at once', async () => {
    let running = 0;
    let most = 0;
    const work = async () => {
      running += 1;
      most = Math.max(most, running);
      await wait(5);
      running -= 1;
    };
    for await (const _ of mapOrdered(numbers(12), work, { inFlight: 3, signal: never }));
    assert.equal(most, 3);
  });

  it('reads on while its consumer is busy', async () => {
    let read = 0;
    async function* counted() {
      for await (const value of numbers(100)) {
        read += 1;
        yield value;
      }
    }
    const results = mapOrdered(counted(), async (value) => value, { inFlight: 4, signal: never });
    await results.next();
    await wait(10);
    assert.equal(read, 5);
    await results.return(undefined);
  });

  for (const [title, work] of [
    ['rejects', async (value: number) => (value === 3 ? Promise.reject(new Error('no')) : value)],
    [
      'throws at once',
      (value: number) => {
        if (value === 3) throw new Error('no');
        return Promise.resolve(value);
      },
    ],
  ] as const) {
    it(`gives the results before an item whose work ${title}, then its error, and ends the input`, async () => {
      let ended = false;
      async function* source() {
        try {
          yield* numbers(100);
        } finally {
          ended = true;
        }
      }
      const results: number[] = [];
      await assert.rejects(
        async () => {
          for await (const one of mapOrdered(source(), work, { inFlight: 8, signal: never }))
            results.push(one);
        },
        { message: 'no' },
      );
      assert.deepEqual(results, [0, 1, 2]);
      assert.ok(ended);
    });
  }

  it('gives the results before an error of the input, then the error', async () => {
    async function* source() {
      yield* numbers(3);
      throw new Error('the input broke');
    }
    const results: number[] = [];
    await assert.rejects(
      async () => {
        for await (const one of mapOrdered(source(), async (value) => value, { inFlight: 2, signal: never }))
          results.push(one);
      },
      { message: 'the input broke' },
    );
    assert.deepEqual(results, [0, 1, 2]);
  });

  it('stops at the next result when the signal fires', async () => {
    const controller = new AbortController();
    const results: number[] = [];
    await assert.rejects(
      async () => {
        for await (const one of mapOrdered(numbers(100), async (value) => value, {
          inFlight: 4,
          signal: controller.signal,
        })) {
          results.push(one);
          if (one === 5) controller.abort();
        }
      },
      (error) => error instanceof BackupError && error.code === 'aborted',
    );
    assert.deepEqual(results, [0, 1, 2, 3, 4, 5]);
  });

  it('leaves no rejection unhandled when it is ended early', async () => {
    const results = mapOrdered(
      numbers(10),
      async (value) => {
        await wait(5);
        if (value > 0) throw new Error('too late to matter');
        return value;
      },
      { inFlight: 5, signal: never },
    );
    assert.equal((await results.next()).value, 0);
    await results.return(undefined);
    await wait(20);
  });

  it('takes as many blocks as threads can work on, and two more', () => {
    const before = process.env.UV_THREADPOOL_SIZE;
    try {
      const blocksFor = (threads: string) => {
        process.env.UV_THREADPOOL_SIZE = threads;
        return parallelBlocks();
      };
      assert.equal(blocksFor('1'), 3);
      assert.equal(blocksFor('2'), Math.min(2, availableParallelism()) + 2);
      assert.equal(blocksFor('nonsense'), Math.min(4, availableParallelism()) + 2);
      assert.ok(blocksFor('1000') <= 18);
    } finally {
      if (before === undefined) delete process.env.UV_THREADPOOL_SIZE;
      else process.env.UV_THREADPOOL_SIZE = before;
    }
  });
});
