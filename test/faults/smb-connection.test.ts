import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { createSmbDestination } from '../../lib/destinations/smb/smb.ts';
import { never, rejectsWith } from '../conformance/destination/fixture.ts';
import { makeFolder } from '../conformance/smb/storage.ts';
import { TestProxy } from '../servers/proxy.ts';
import { TestSamba } from '../servers/samba.ts';
import { collect, cut, noise, sha256 } from '../support/byte-streams.ts';
import { childProcesses } from '../support/child-processes.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { until } from '../support/until.ts';

const FAULTS = ['cut', 'reset', 'stall'] as const;
const CONTENT = noise(6_000_000, 3);
const WAIT_MS = 60_000;

describe('smb: connections that break', function () {
  this.timeout(240_000);
  let server: TestSamba;
  let proxy: TestProxy;
  let folder: string;
  let driver: DestinationDriver;

  before(async function () {
    server = await TestSamba.startOrSkip(this);
  });

  after(async () => await server?.stop());

  beforeEach(async () => {
    proxy = await TestProxy.start(server);
    folder = join(server.share, 'backups');
    await makeFolder(server, folder);
    driver = throughProxy({ timeout: 20 });
  });

  afterEach(async () => {
    await proxy.close();
    await rm(folder, { recursive: true, force: true });
  });

  const throughProxy = (options: { readonly timeout: number }) =>
    createSmbDestination({ ...server.settings, port: proxy.port, root: 'backups', ...options });
  const traces = async () => (await readdir(folder, { recursive: true })).sort();
  /** A listing fails when a folder vanishes meanwhile. */
  const isEmpty = async () => (await traces().catch(() => ['changing'])).length === 0;
  const put = async (path: string, content = CONTENT, by = driver) => {
    const pending = await by.write(path, cut(content, 65_536), { signal: never });
    await pending.commit();
  };
  const anUpload = () =>
    until(async () => (await traces()).some((name) => name.endsWith('.partial')), WAIT_MS);

  describe('while it writes', () => {
    for (const fault of FAULTS) {
      // From the server: its first answer, the login, the folders. From the client: the file.
      for (const [bytes, from] of [
        [1, 'server'],
        [700, 'server'],
        [2500, 'server'],
        [200_000, 'client'],
        [5_000_000, 'client'],
      ] as const) {
        it(`says so when connections ${fault} after ${bytes} bytes from the ${from}, and leaves nothing`, async () => {
          // What stalls must not have room for all that is to come.
          const [patience, content] =
            fault === 'stall'
              ? [{ timeout: 1 }, Buffer.alloc(60_000_000, CONTENT)]
              : [{ timeout: 20 }, CONTENT];
          proxy.after(bytes, fault, from);
          const error = await rejectsWith(
            put('job/set/a', content, throughProxy(patience)),
            'unavailable',
            'stalled',
            'incomplete',
          );
          assert.ok(!proxy.isArmed);
          assert.ok(error.transient, error.message);
          proxy.reset();
          await until(isEmpty, WAIT_MS);
          await put('job/set/a');
          assert.deepEqual(await traces(), ['job', 'job/set', 'job/set/a']);
        });
      }
    }

    it('notices a byte that was changed on the way', async () => {
      for (const bytes of [150_000, 3_000_000]) {
        proxy.after(bytes, 'damage', 'client');
        const error = await rejectsWith(put('a'), 'unavailable', 'incomplete');
        assert.ok(error.transient, error.message);
        await until(isEmpty, WAIT_MS);
      }
    });

    it('gives no byte of a dump to anybody who would run it, however the upload ends', async () => {
      const mark = join(tmpdir(), `dbackup-smb-escaped-${process.pid}`);
      const command = Buffer.from(`\n!touch ${mark}\nmkdir "\\escaped"\n`);
      const lines = Buffer.concat(Array.from({ length: 40_000 }, () => command));
      for (const action of [() => proxy.reset(), () => proxy.cut(), () => server.killSessions()]) {
        async function* broken(): AsyncGenerator<Buffer> {
          yield lines;
          await anUpload();
          action();
          yield lines;
          yield lines;
        }
        await rejectsWith(driver.write('a', broken(), { signal: never }), 'unavailable', 'incomplete');
        await until(isEmpty, WAIT_MS);
      }
      await rejectsWith(
        createSmbDestination({ ...server.settings, share: 'read-only' }).write('a', cut(lines, 65_536), {
          signal: never,
        }),
        'permission',
      );
      assert.ok(!existsSync(mark));
      assert.ok(!existsSync(join(server.share, 'escaped')));
    });

    it('says so when smbclient is killed, which leaves a short file', async () => {
      async function* broken(): AsyncGenerator<Buffer> {
        yield CONTENT;
        await anUpload();
        assert.ok(killClients(/--command=put/) > 0);
        yield CONTENT;
        yield CONTENT;
      }
      const error = await rejectsWith(driver.write('job/a', broken(), { signal: never }), 'incomplete');
      assert.ok(error.transient);
      assert.match(error.message, /was killed \(SIGKILL\)/);
      await until(isEmpty, WAIT_MS);
    });

    it('says so when the server dies', async () => {
      const dying = await TestSamba.start();
      const doomed = createSmbDestination({ ...dying.settings, timeout: 5 });
      async function* killing(): AsyncGenerator<Buffer> {
        yield CONTENT;
        await until(() => dying.sessions().length > 1, WAIT_MS);
        await dying.stop();
        yield CONTENT;
        yield CONTENT;
      }
      const error = await rejectsWith(
        doomed.write('a', killing(), { signal: never }),
        'unavailable',
        'incomplete',
      );
      assert.ok(error.transient, error.message);
    });

    it('lets a dump pause for longer than the server may', async () => {
      const content = noise(3_000_000, 5);
      async function* pausing(): AsyncGenerator<Buffer> {
        yield content.subarray(0, 1000);
        await wait(4500);
        yield content.subarray(1000, 2_000_000);
        await wait(4500);
        yield content.subarray(2_000_000);
      }
      const impatient = throughProxy({ timeout: 4 });
      const pending = await impatient.write('slow', pausing(), { signal: never });
      await pending.commit();
      assert.equal(sha256(await collect(await driver.read('slow', { signal: never }))), sha256(content));
    });
  });

  describe('while it commits', () => {
    for (const fault of FAULTS) {
      it(`says so when connections ${fault}, and can be aborted`, async () => {
        const by = throughProxy({ timeout: fault === 'stall' ? 3 : 20 });
        const pending = await by.write('job/a', cut(CONTENT, 65_536), { signal: never });
        proxy.after(1, fault);
        const error = await rejectsWith(pending.commit(), 'unavailable', 'stalled');
        assert.ok(error.transient, error.message);
        proxy.reset();
        await pending.abort();
        assert.deepEqual(await traces(), []);
      });
    }

    it('takes a rename whose answer got lost for what it is: done', async () => {
      const pending = await driver.write('job/a', cut(CONTENT, 65_536), { signal: never });
      proxy.delayMs = 400;
      const committing = pending.commit();
      committing.catch(() => undefined);
      await until(() => existsSync(join(folder, 'job/a')), WAIT_MS);
      proxy.reset();
      proxy.delayMs = 0;
      await committing;
      assert.deepEqual(await traces(), ['job', 'job/a']);
      await pending.abort();
      assert.equal(sha256(await collect(await driver.read('job/a', { signal: never }))), sha256(CONTENT));
    });
  });

  describe('while it reads', () => {
    beforeEach(async () => await put('job/a'));

    it('goes on where the connection broke', async () => {
      for (const breaks of [() => proxy.cut(), () => proxy.reset(), () => killClients(/dbackup-smb-/)]) {
        const got: Buffer[] = [];
        let times = 0;
        for await (const chunk of await driver.read('job/a', { signal: never })) {
          got.push(chunk);
          times += 1;
          if (times === 3) breaks();
        }
        assert.equal(sha256(Buffer.concat(got)), sha256(CONTENT));
      }
    });

    it('goes on after a stall, in a new connection', async () => {
      const stream = await throughProxy({ timeout: 4 }).read('job/a', { signal: never });
      proxy.after(2_000_000, 'stall');
      assert.equal(sha256(await collect(stream)), sha256(CONTENT));
      assert.ok(!proxy.isArmed);
    });

    it('gives no byte that was changed on the way', async () => {
      for (const bytes of [100_000, 4_000_000]) {
        proxy.after(bytes, 'damage');
        const content = await collect(await driver.read('job/a', { signal: never })).catch(() => undefined);
        assert.ok(content === undefined || sha256(content) === sha256(CONTENT));
        assert.ok(!proxy.isArmed);
      }
    });

    it('gives up when nothing gets through', async () => {
      const stream = await throughProxy({ timeout: 3 }).read('job/a', { signal: never });
      proxy.accepts = 'silence';
      proxy.stall();
      const error = await rejectsWith(collect(stream), 'stalled', 'unavailable');
      assert.ok(error.transient);
    });

    it('does not mix two versions of an object', async () => {
      // More than smbclient has asked for in advance.
      await put('job/large', noise(48_000_000, 4));
      const stream = await driver.read('job/large', { signal: never });
      const reading = (async () => {
        let times = 0;
        for await (const _ of stream) {
          times += 1;
          if (times !== 2) continue;
          const other = createSmbDestination({ ...server.settings, root: 'backups' });
          const next = await other.write('job/large', cut(noise(7_000_000, 9), 65_536), {
            signal: never,
            replace: true,
          });
          await next.commit();
          proxy.reset();
        }
      })();
      await rejectsWith(reading, 'incomplete');
    });

    it('passes over what is before a range', async () => {
      const part = await collect(
        await driver.read('job/a', { signal: never, range: { start: 3_000_001, end: 3_000_101 } }),
      );
      assert.ok(part.equals(CONTENT.subarray(3_000_001, 3_000_101)));
    });
  });

  describe('while it lists and removes', () => {
    beforeEach(async () => {
      for (const name of ['a', 'b', 'c']) await put(`job/${name}`, Buffer.from(name));
    });

    for (const fault of FAULTS) {
      it(`never takes less for the whole list when connections ${fault}`, async () => {
        const by = throughProxy({ timeout: fault === 'stall' ? 3 : 20 });
        for (const bytes of fault === 'stall' ? [1500] : [1, 1500, 3000]) {
          proxy.after(bytes, fault);
          const result = await listed(by).catch((error: unknown) => error);
          if (proxy.isArmed) assert.equal(result, 3);
          else assert.ok(result === 3 || (result as { transient?: boolean }).transient, String(result));
          proxy.reset();
        }
        assert.equal(await listed(throughProxy({ timeout: 20 })), 3);
      });

      it(`says so when connections ${fault} while it removes`, async () => {
        const by = throughProxy({ timeout: fault === 'stall' ? 3 : 20 });
        assert.equal(await listed(by), 3);
        proxy.after(1, fault);
        await rejectsWith(by.remove('job/a', never), 'unavailable', 'stalled');
        proxy.reset();
        await by.remove('job/a', never);
        assert.equal(await listed(by), 2);
      });
    }
  });

  it('has no process and no connection left a while after its work', async () => {
    await put('job/a');
    await listed(driver);
    assert.ok(clients(/dbackup-smb-/).length > 0, 'kept for the next piece of work');
    await until(() => clients(/dbackup-smb-/).length === 0 && proxy.connections === 0, WAIT_MS);
    assert.equal(await listed(driver), 1);
  });
});

describe('smb: full shares', function () {
  this.timeout(120_000);

  it('says so when the disk of the server fills up, and leaves nothing', async function () {
    const disk = await mountSmallDisk(this, 'size=4m');
    const server = await TestSamba.start({ folder: disk.path });
    try {
      const driver = createSmbDestination(server.settings);
      const write = (bytes: Buffer) => driver.write('job/a', cut(bytes, 65_536), { signal: never });
      const error = await rejectsWith(write(noise(12_000_000)), 'no-space');
      assert.match(error.message, /DISK_FULL; free space there/);
      assert.deepEqual(await readdir(disk.path), []);
      let taken = 0;
      async function* counted(): AsyncGenerator<Buffer> {
        taken += 1;
        yield Buffer.alloc(100_000);
      }
      const refused = await rejectsWith(
        driver.write('a', counted(), { signal: never, expectedBytes: 8_000_000 }),
        'no-space',
      );
      assert.match(refused.message, /has \d+ bytes free/);
      assert.equal(taken, 0);
      const pending = await write(noise(1_000_000));
      await pending.commit();
    } finally {
      await server.stop();
      await disk.unmount();
    }
  });
});

/** Our runs of smbclient whose command line fits. */
function clients(pattern: RegExp): number[] {
  return childProcesses().filter((pid) => {
    try {
      return pattern.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '));
    } catch {
      return false;
    }
  });
}

function killClients(pattern: RegExp): number {
  const found = clients(pattern);
  for (const pid of found) process.kill(pid, 'SIGKILL');
  return found.length;
}

async function listed(driver: DestinationDriver): Promise<number> {
  let count = 0;
  for await (const _ of driver.list('', never)) count += 1;
  return count;
}
