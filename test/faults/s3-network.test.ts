import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import type { S3OptionsInput } from '../../lib/destinations/s3/options.ts';
import { createS3Destination } from '../../lib/destinations/s3/s3.ts';
import { BackupError, type ErrorCode } from '../../lib/errors.ts';
import { startCeph, type TestCeph } from '../servers/ceph.ts';
import { TestProxy } from '../servers/proxy.ts';
import { collect, cut, noise, sha256 } from '../support/byte-streams.ts';
import { TestBucket } from '../support/s3-bucket.ts';
import { until } from '../support/until.ts';

const never = new AbortController().signal;
const CONTENT = noise(17_000_000, 5);

describe('S3 storage behind a bad network', function () {
  this.timeout(180_000);
  let ceph: TestCeph;
  let bucket: TestBucket;
  let proxy: TestProxy;
  let prefix = '';
  let runs = 0;

  before(async function () {
    this.timeout(300_000);
    ceph = await startCeph();
    bucket = await TestBucket.create(ceph.endpoint, ceph.keys);
  });
  after(async () => await ceph?.stop());
  beforeEach(async () => {
    runs += 1;
    prefix = `run-${runs}`;
    proxy = await TestProxy.start(ceph);
  });
  afterEach(async () => await proxy.close());

  /** A storage that is reached through the proxy. */
  function open(change: Partial<S3OptionsInput> = {}): DestinationDriver {
    const endpoint = `http://127.0.0.1:${proxy.port}`;
    return createS3Destination({ ...bucket.settings(prefix), endpoint, attempts: 5, ...change });
  }

  /** The same one without the proxy. */
  function direct(): DestinationDriver {
    return createS3Destination(bucket.settings(prefix));
  }

  for (const fault of ['cut', 'reset', 'damage', 'stall'] as const) {
    it(`sends a part again when the connection is hit by: ${fault}`, async () => {
      const driver = open(fault === 'stall' ? { timeout: 5 } : {});
      const places = fault === 'stall' ? [7_000_000] : [100_000, 7_000_000, 12_000_000];
      for (const at of places) {
        proxy.after(at, fault, 'client');
        await put(driver, `job/${at}`, CONTENT);
        assert.ok(!proxy.isArmed, 'it has happened');
        assert.equal(
          sha256(await collect(await direct().read(`job/${at}`, { signal: never }))),
          sha256(CONTENT),
        );
      }
      assert.equal((await bucket.traces(prefix)).length, places.length, 'no upload is left');
    });
  }

  it('says that bytes are damaged on the way when no attempt is left', async () => {
    const driver = open({ attempts: 1 });
    proxy.after(2_000_000, 'damage', 'client');
    const error = await failureOf(put(driver, 'job/a', CONTENT), 'corrupt');
    assert.match(error.message, /received other bytes than were sent/);
    assert.ok(error.transient);
    assert.deepEqual(await bucket.traces(prefix), []);
  });

  for (const fault of ['cut', 'reset', 'stall'] as const) {
    it(`goes on reading at the same byte when the connection is hit by: ${fault}`, async () => {
      await put(direct(), 'job/a', CONTENT);
      const driver = open(fault === 'stall' ? { timeout: 5 } : {});
      proxy.after(4_000_000, fault);
      assert.equal(sha256(await collect(await driver.read('job/a', { signal: never }))), sha256(CONTENT));
      assert.ok(!proxy.isArmed);
      if (fault === 'stall') return;
      proxy.after(2_000_000, fault);
      const range = { start: 1_000_001, end: 9_999_999 };
      const part = await collect(await driver.read('job/a', { signal: never, range }));
      assert.ok(part.equals(CONTENT.subarray(range.start, range.end)));
      assert.ok(!proxy.isArmed);
    });
  }

  it('does not go on reading with another object', async () => {
    await put(direct(), 'job/a', CONTENT);
    const stream = await open().read('job/a', { signal: never });
    let bytes = 0;
    const reading = (async () => {
      for await (const chunk of stream) {
        if (bytes === 0) {
          await put(direct(), 'job/a', noise(17_000_000, 6), true);
          proxy.reset();
        }
        bytes += chunk.length;
      }
    })();
    const error = await failureOf(reading, 'incomplete');
    assert.match(error.message, /replaced while it was read/);
  });

  it('fails passingly when the server is gone, shows nothing, and leaves what a sweep removes', async () => {
    const driver = open({ attempts: 2 });
    async function* dying(): AsyncGenerator<Buffer> {
      yield CONTENT.subarray(0, 12_000_000);
      await until(async () => (await bucket.uploads(prefix)).length === 1, 120_000);
      await proxy.close();
      yield CONTENT.subarray(12_000_000);
    }
    const error = await failureOf(driver.write('job/a', dying(), { signal: never }), 'unavailable');
    assert.ok(error.transient);
    assert.match(error.message, /cannot be reached/);
    assert.deepEqual(await paths(direct()), []);
    assert.equal((await bucket.uploads(prefix)).length, 1, 'its removal did not reach the server');
    assert.deepEqual(await direct().sweep(new Date(Date.now() + 60_000), never), ['job/a']);
    assert.deepEqual(await bucket.traces(prefix), []);
    proxy = await TestProxy.start(ceph);
  });

  it('fails passingly when the server does not answer the commit, and its abort leaves nothing', async () => {
    for (const content of [noise(1000), CONTENT]) {
      const driver = open({ attempts: 2 });
      const pending = await driver.write('job/a', cut(content, 300_000), { signal: never });
      proxy.accepts = 'reset';
      proxy.reset();
      const error = await failureOf(pending.commit(), 'unavailable');
      assert.ok(error.transient);
      proxy.accepts = 'pass';
      await pending.abort();
      assert.deepEqual(await bucket.traces(prefix), []);
    }
  });

  it('cancels within two seconds while nothing moves, and cleans up when the network is back', async () => {
    const driver = open();
    const cancel = new AbortController();
    async function* stalling(): AsyncGenerator<Buffer> {
      yield CONTENT.subarray(0, 12_000_000);
      // Only then does this side know the upload as well: one whose answer was lost is for a sweep.
      await until(async () => await bucket.hasParts(prefix, 'job/a'), 120_000);
      proxy.accepts = 'silence';
      proxy.stall();
      setTimeout(() => cancel.abort(), 100);
      yield CONTENT.subarray(12_000_000);
      await new Promise(() => undefined);
    }
    const writing = driver.write('job/a', stalling(), { signal: cancel.signal });
    const aborted = new Promise<number>((resolve) => {
      cancel.signal.addEventListener('abort', () => resolve(performance.now()), { once: true });
    });
    await failureOf(writing, 'aborted');
    const tookMs = performance.now() - (await aborted);
    assert.ok(tookMs < 2000, `${tookMs} ms`);
    proxy.accepts = 'pass';
    proxy.reset();
    await until(async () => (await bucket.traces(prefix)).length === 0, 120_000);
  });

  it('cancels every operation within two seconds while the server is silent', async () => {
    await put(direct(), 'job/a', noise(1000));
    proxy.accepts = 'silence';
    const driver = open();
    const operations: ((signal: AbortSignal) => Promise<unknown>)[] = [
      (signal) => driver.probe(signal),
      (signal) => driver.write('job/b', cut(noise(1000), 300), { signal }),
      (signal) => driver.read('job/a', { signal }),
      (signal) => paths(driver, signal),
      (signal) => driver.stat('job/a', signal),
      (signal) => driver.remove('job/a', signal),
      (signal) => driver.sweep(new Date(), signal),
    ];
    for (const operation of operations) {
      const cancel = new AbortController();
      const work = operation(cancel.signal);
      work.catch(() => undefined);
      await until(() => proxy.connections > 0, 120_000);
      const started = performance.now();
      cancel.abort();
      await failureOf(work, 'aborted');
      assert.ok(performance.now() - started < 2000);
      proxy.reset();
      await until(() => proxy.connections === 0, 120_000);
    }
  });

  it('stores all of an object or nothing, whatever happens and when', async function () {
    this.timeout(600_000);
    const faults = fc.record({
      fault: fc.constantFrom('cut' as const, 'reset' as const, 'damage' as const),
      from: fc.constantFrom('client' as const, 'server' as const),
      // Beyond what passes, nothing happens.
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      size: fc.constantFrom(0, 1000, 5_242_880, 11_000_000),
      attempts: fc.constantFrom(1, 4),
    });
    let stored = 0;
    let failed = 0;
    await fc.assert(
      fc.asyncProperty(faults, async ({ fault, from, share, size, attempts }) => {
        const driver = open({ attempts });
        const content = CONTENT.subarray(0, size);
        proxy.after(1 + Math.floor(share * (from === 'client' ? size + 3000 : 2000)), fault, from);
        const result = await put(driver, 'job/a', content).catch((error: unknown) => error);
        if (result === undefined) {
          stored += 1;
          assert.equal(
            sha256(await collect(await direct().read('job/a', { signal: never }))),
            sha256(content),
          );
          await direct().remove('job/a', never);
        } else {
          failed += 1;
          assert.ok(result instanceof BackupError, String(result));
          assert.equal(
            await direct().stat('job/a', never),
            undefined,
            `nothing is visible after: ${result.message}`,
          );
        }
        await direct().sweep(new Date(Date.now() + 60_000), never);
        assert.deepEqual(await bucket.traces(prefix), []);
      }),
      { numRuns: 40 },
    );
    assert.ok(stored > 0 && failed > 0, `${stored} stored, ${failed} failed`);
  });

  it('fails passingly when the server is killed', async () => {
    const driver = createS3Destination({ ...bucket.settings(prefix), attempts: 2 });
    async function* dying(): AsyncGenerator<Buffer> {
      yield CONTENT.subarray(0, 12_000_000);
      await ceph.kill();
      yield CONTENT.subarray(12_000_000);
    }
    const error = await failureOf(driver.write('job/a', dying(), { signal: never }), 'unavailable');
    assert.ok(error.transient);
  });
});

async function put(driver: DestinationDriver, path: string, content: Buffer, replace = false): Promise<void> {
  const stream = content.length === 0 ? nothing() : cut(content, 300_000);
  const pending = await driver.write(path, stream, { signal: never, replace });
  try {
    await pending.commit();
  } catch (error) {
    await pending.abort();
    throw error;
  }
}

async function* nothing(): AsyncGenerator<Buffer> {}

async function paths(driver: DestinationDriver, signal = never): Promise<string[]> {
  const found: string[] = [];
  for await (const { path } of driver.list('', signal)) found.push(path);
  return found.sort();
}

async function failureOf(work: Promise<unknown>, code: ErrorCode): Promise<BackupError> {
  const thrown = await work.then(
    () => assert.fail('it succeeded'),
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof BackupError, String(thrown));
  assert.equal(thrown.code, code, thrown.message);
  return thrown;
}
