import assert from 'node:assert/strict';
import fc from 'fast-check';
import { DEFAULT_QUEUE_LIMITS } from '../../lib/queue/limits.ts';
import { type QueuePlace, RunQueue } from '../../lib/queue/run-queue.ts';

const never = new AbortController().signal;

/** A queue whose runs go on until the test ends them. */
class QueueWorld {
  readonly queue: RunQueue;
  readonly begun: string[] = [];
  readonly told: string[] = [];
  readonly places = new Map<string, QueuePlace>();
  readonly #leave = new Map<string, () => void>();
  readonly #aborts = new Map<string, AbortController>();

  constructor(concurrency: number, perServer: number) {
    this.queue = new RunQueue({ concurrency, perServer }, (id, place) => {
      this.places.set(id, place);
      this.told.push(`${id} ${place.position}/${place.count}`);
    });
  }

  async enter(id: string, ...servers: string[]): Promise<void> {
    const abort = new AbortController();
    this.#aborts.set(id, abort);
    this.queue.enter({ id, servers }, abort.signal).then(
      (leave) => {
        this.begun.push(id);
        this.#leave.set(id, leave);
      },
      () => undefined,
    );
    await turn();
  }

  async end(id: string): Promise<void> {
    this.#leave.get(id)?.();
    await turn();
  }

  async cancel(id: string): Promise<void> {
    this.#aborts.get(id)?.abort();
    await turn();
  }
}

describe('queue of runs', () => {
  it('lets two runs go on by default, one on each server', () => {
    assert.deepEqual(DEFAULT_QUEUE_LIMITS, { concurrency: 2, perServer: 1 });
  });

  it('begins runs in the order of their coming, as many at a time as may be', async () => {
    const world = new QueueWorld(2, 1);
    for (const id of ['a', 'b', 'c', 'd']) await world.enter(id);
    assert.deepEqual(world.begun, ['a', 'b']);
    await world.end('b');
    assert.deepEqual(world.begun, ['a', 'b', 'c']);
    await world.end('b');
    assert.deepEqual(world.begun, ['a', 'b', 'c'], 'a place is given back once');
    await world.end('a');
    assert.deepEqual(world.begun, ['a', 'b', 'c', 'd']);
  });

  it('lets a run pass one that waits for another server', async () => {
    const world = new QueueWorld(2, 1);
    await world.enter('a', 'one');
    await world.enter('b', 'one');
    await world.enter('c', 'two');
    assert.deepEqual(world.begun, ['a', 'c']);
    assert.deepEqual(world.places.get('b'), { position: 1, count: 1, server: 'one' });
  });

  it('keeps servers for the run that waits for them, so that it is not starved', async () => {
    const world = new QueueWorld(3, 1);
    await world.enter('long', 'one');
    await world.enter('both', 'one', 'two');
    await world.enter('later', 'two');
    assert.deepEqual(world.begun, ['long'], 'server two is free, but the second run comes first');
    assert.equal(world.places.get('later')?.server, 'two');
    await world.end('long');
    assert.deepEqual(world.begun, ['long', 'both']);
    await world.end('both');
    assert.deepEqual(world.begun, ['long', 'both', 'later']);
  });

  it('takes as many runs of a server as are allowed', async () => {
    const world = new QueueWorld(9, 2);
    for (const id of ['a', 'b', 'c']) await world.enter(id, 'one');
    assert.deepEqual(world.begun, ['a', 'b']);
  });

  it('tells each run where it stands, when that changes, and forgets who gives up', async () => {
    const world = new QueueWorld(1, 1);
    for (const id of ['a', 'b', 'c', 'd']) await world.enter(id);
    assert.deepEqual(world.told, ['b 1/1', 'b 1/2', 'c 2/2', 'b 1/3', 'c 2/3', 'd 3/3']);
    world.told.length = 0;
    await world.cancel('c');
    assert.deepEqual(world.told, ['b 1/2', 'd 2/2']);
    assert.deepEqual(world.queue.placeOf('d'), { position: 2, count: 2, server: undefined });
    await world.end('a');
    await world.end('b');
    assert.deepEqual(world.begun, ['a', 'b', 'd']);
    assert.equal(world.queue.placeOf('d'), undefined);
  });

  it('lets pass who waited behind a run that gives up', async () => {
    const world = new QueueWorld(2, 1);
    await world.enter('a', 'one');
    await world.enter('b', 'one', 'two');
    await world.enter('c', 'two');
    await world.cancel('b');
    assert.deepEqual(world.begun, ['a', 'c']);
  });

  it('rejects with the reason when it is given up, at once when that is so already', async () => {
    const queue = new RunQueue({ concurrency: 1, perServer: 1 });
    await queue.enter({ id: 'a', servers: [] }, never);
    const abort = new AbortController();
    const waiting = queue.enter({ id: 'b', servers: [] }, abort.signal);
    abort.abort(new Error('not any more'));
    await assert.rejects(waiting, { code: 'aborted', message: 'not any more' });
    await assert.rejects(queue.enter({ id: 'c', servers: [] }, abort.signal), { code: 'aborted' });
  });

  for (const limits of [
    { concurrency: 0, perServer: 1 },
    { concurrency: 1, perServer: -1 },
    { concurrency: 1.5, perServer: 1 },
    { concurrency: Number.NaN, perServer: 1 },
  ]) {
    it(`refuses limits of ${limits.concurrency} and ${limits.perServer}`, () => {
      assert.throws(() => new RunQueue(limits), { code: 'invalid-config' });
    });
  }

  it('keeps its promises whatever comes and goes', async () => {
    const step = fc.record({
      act: fc.constantFrom('enter', 'enter', 'end', 'cancel'),
      servers: fc.uniqueArray(fc.constantFrom('one', 'two', 'three'), { maxLength: 2 }),
      which: fc.nat(20),
    });
    const plan = fc.record({
      concurrency: fc.integer({ min: 1, max: 4 }),
      perServer: fc.integer({ min: 1, max: 2 }),
      steps: fc.array(step, { maxLength: 40 }),
    });
    await fc.assert(
      fc.asyncProperty(plan, async ({ concurrency, perServer, steps }) => {
        const world = new QueueWorld(concurrency, perServer);
        const servers = new Map<string, readonly string[]>();
        const waiting: string[] = [];
        const going: string[] = [];
        const settle = () => {
          for (const id of world.begun.splice(0)) {
            // Nobody overtakes on a server that a run before it waits for, unless there is room for both.
            const before = waiting.slice(0, waiting.indexOf(id));
            for (const server of servers.get(id) ?? []) {
              const users = [...before, ...going].filter((other) => servers.get(other)?.includes(server));
              assert.ok(users.length < perServer, `${id} takes ${server}`);
            }
            waiting.splice(waiting.indexOf(id), 1);
            going.push(id);
          }
          assert.ok(going.length <= concurrency);
          const [first] = waiting;
          if (first === undefined) return;
          // The first one only waits when it must.
          const isBusy = (server: string) =>
            going.filter((other) => servers.get(other)?.includes(server)).length >= perServer;
          assert.ok(
            going.length === concurrency || servers.get(first)?.some(isBusy),
            `${first} waits in vain`,
          );
        };
        for (const [index, { act, servers: wanted, which }] of steps.entries()) {
          const id = `run ${index}`;
          if (act === 'enter') {
            servers.set(id, wanted);
            waiting.push(id);
            await world.enter(id, ...wanted);
          }
          const ended = act === 'end' ? going.splice(which % (going.length || 1), 1)[0] : undefined;
          if (ended !== undefined) await world.end(ended);
          const cancelled =
            act === 'cancel' ? waiting.splice(which % (waiting.length || 1), 1)[0] : undefined;
          if (cancelled !== undefined) await world.cancel(cancelled);
          settle();
        }
        // Everybody comes to his turn.
        while (going.length > 0) {
          const ended = going.shift();
          if (ended !== undefined) await world.end(ended);
          settle();
        }
        assert.deepEqual(waiting, []);
      }),
    );
  });
});

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
