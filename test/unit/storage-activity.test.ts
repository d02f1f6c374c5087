import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import type { DestinationDriver, PendingObject, WriteOptions } from '../../lib/destinations/driver.ts';
import { readSteadily } from '../../lib/destinations/steady-read.ts';
import { transfer } from '../../lib/engine/transfer.ts';
import { collect, cut } from '../support/byte-streams.ts';

const never = new AbortController().signal;
const STALL_MS = 400;
/** In all far longer than a storage may stand still, three times of it after its last byte. */
const MOVES = 40;
const MOVE_MS = 50;

/** A storage that takes everything at once, and moves it for some time afterwards. */
class SlowStorage {
  readonly #tells: boolean;

  constructor(tells: boolean) {
    this.#tells = tells;
  }

  async write(_path: string, bytes: AsyncIterable<Buffer>, writing: WriteOptions): Promise<PendingObject> {
    let taken = 0;
    for await (const chunk of bytes) taken += chunk.length;
    await this.#move(writing);
    return { bytes: taken, commit: async () => {}, abort: async () => {} };
  }

  async read(_path: string, reading: { onActivity?: (() => void) | undefined; signal: AbortSignal }) {
    const move = () => this.#move(reading);
    return (async function* () {
      await move();
      yield Buffer.from('content');
    })();
  }

  async #move({ onActivity, signal }: { onActivity?: (() => void) | undefined; signal: AbortSignal }) {
    for (let turn = 0; turn < MOVES && !signal.aborted; turn += 1) {
      await wait(MOVE_MS);
      if (this.#tells) onActivity?.();
    }
  }

  describe(): string {
    return 'a slow storage';
  }
}

function driverOf(storage: SlowStorage): DestinationDriver {
  return storage as unknown as DestinationDriver;
}

describe('a storage that moves what it was given', () => {
  const writing = async (storage: SlowStorage) => {
    const binding = { node: 'n', label: 'slow', driver: driverOf(storage), prefix: '' };
    const input = cut(Buffer.from('content'), 3);
    return await transfer({ binding, path: 'a', input, rate: undefined, signal: never, stallMs: STALL_MS });
  };
  const reading = async (storage: SlowStorage) =>
    await collect(readSteadily(driverOf(storage), 'a', { signal: never, stallMs: STALL_MS }));

  it('is waited for as long as it says so', async () => {
    assert.equal((await writing(new SlowStorage(true))).bytes, 7);
    assert.equal((await reading(new SlowStorage(true))).toString(), 'content');
  });

  it('is given up when it says nothing', async () => {
    await assert.rejects(writing(new SlowStorage(false)), { code: 'stalled' });
    await assert.rejects(reading(new SlowStorage(false)), { code: 'stalled' });
  });
});
