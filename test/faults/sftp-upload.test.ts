import assert from 'node:assert/strict';
import { open, rm, stat, truncate } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { createSftpDestination } from '../../lib/destinations/sftp/sftp.ts';
import { BackupError } from '../../lib/errors.ts';
import { never, rejectsWith } from '../conformance/destination/fixture.ts';
import type { TestProxy } from '../servers/proxy.ts';
import { startSshd } from '../servers/sshd.ts';
import { noise, sha256 } from '../support/byte-streams.ts';
import { countListed, ProxiedSftp } from '../support/proxied-sftp.ts';
import { until } from '../support/until.ts';

const FAULTS = ['cut', 'reset', 'stall', 'damage'] as const;
const CONTENT = noise(6_000_000, 3);
const HASH = sha256(CONTENT);
/** Timeout of storages that are to notice a stall. */
const STALL_S = 5;

describe('sftp: uploads whose connection breaks', function () {
  this.timeout(120_000);
  let sftp: ProxiedSftp;
  let proxy: TestProxy;
  let driver: DestinationDriver;

  before(async () => {
    sftp = await ProxiedSftp.start();
    proxy = sftp.proxy;
  });

  after(async () => await sftp.stop());

  beforeEach(async () => {
    await sftp.reset();
    driver = sftp.driver();
  });

  const put = (path: string, content = CONTENT) => sftp.put(driver, path, content);

  /**
   * The content, with something that happens in the middle: at 5 MB at least some hundred kB were confirmed, since
   * not more than 4 MiB may be under way.
   */
  const interrupted = (afterBytes: number, happens: () => unknown) =>
    (async function* () {
      for (let at = 0; at < CONTENT.length; at += 65_536) {
        if (at <= afterBytes && at + 65_536 > afterBytes) {
          await until(hasArrived, 60_000);
          await happens();
        }
        yield CONTENT.subarray(at, at + 65_536);
      }
    })();
  const hasArrived = async () => {
    const [file] = await sftp.unfinished();
    return file !== undefined && (await stat(file)).size > 0;
  };

  describe('while it writes', () => {
    for (const fault of FAULTS) {
      it(`goes on after a ${fault}, and stores every byte once`, async () => {
        const driver = sftp.driver(fault === 'stall' ? STALL_S : 60);
        const stream = interrupted(5_000_000, () => proxy.after(100_000, fault, 'client'));
        const pending = await driver.write('job/set/a', stream, { signal: never });
        assert.ok(!proxy.isArmed, 'it happened');
        assert.equal(pending.bytes, CONTENT.length);
        await pending.commit();
        assert.deepEqual(await sftp.traces(), ['job', 'job/set', 'job/set/a']);
        assert.equal(await sftp.stored('job/set/a'), HASH);
      });

      it(`goes on after a ${fault} among the answers`, async () => {
        const driver = sftp.driver(fault === 'stall' ? STALL_S : 60);
        const stream = interrupted(5_000_000, () => proxy.after(500, fault, 'server'));
        const pending = await driver.write('job/set/a', stream, { signal: never });
        assert.ok(!proxy.isArmed, 'it happened');
        await pending.commit();
        assert.equal(await sftp.stored('job/set/a'), HASH);
      });
    }

    it('survives breaks at any point, again and again', async () => {
      let breaks = 0;
      async function* breaking(): AsyncGenerator<Buffer> {
        for (let at = 0; at < CONTENT.length; at += 65_536) {
          if (breaks < 12 && !proxy.isArmed) {
            breaks += 1;
            if (breaks % 2 === 0) proxy.after((breaks * 77_777) % 500_000, 'reset', 'client');
            else proxy.after((breaks * 777) % 2500, 'reset', 'server');
          }
          yield CONTENT.subarray(at, at + 65_536);
          await wait(1);
        }
      }
      // A break that comes while the connection is made fails the write, which says that trying again may help.
      const pending = await driver.write('a', breaking(), { signal: never }).catch((error: unknown) => error);
      assert.ok(breaks > 3, `${breaks} breaks`);
      if (pending instanceof BackupError) {
        assert.ok(pending.transient, pending.message);
        await until(sftp.isEmpty, 30_000);
        return;
      }
      proxy.disarm();
      await (pending as { commit(): Promise<void> }).commit();
      assert.equal(await sftp.stored('a'), HASH);
    });

    it('goes on when the process of the server that serves it is killed', async () => {
      const stream = interrupted(5_000_000, () => sftp.server.killSessions());
      const pending = await driver.write('a', stream, { signal: never });
      await pending.commit();
      assert.equal(await sftp.stored('a'), HASH);
    });

    for (const [name, damage] of [
      ['less', (file: string) => truncate(file, 100_000)],
      ['zeros', (file: string) => zeroed(file, 50_000)],
    ] as const) {
      it(`does not go on when the server lost what it had confirmed and has ${name} instead`, async () => {
        const stream = interrupted(5_000_000, async () => {
          const [unfinished] = await sftp.unfinished();
          assert.ok(unfinished !== undefined);
          proxy.stall();
          await damage(unfinished);
          proxy.reset();
        });
        const error = await rejectsWith(driver.write('a', stream, { signal: never }), 'incomplete');
        assert.ok(error.transient);
        assert.match(error.message, /lost bytes of a that it had confirmed/);
        await until(sftp.isEmpty, 30_000);
      });
    }

    it('says so when the unfinished file is gone', async () => {
      const stream = interrupted(5_000_000, async () => {
        for (const file of await sftp.unfinished()) await rm(file);
        proxy.reset();
      });
      const error = await rejectsWith(driver.write('a', stream, { signal: never }), 'incomplete');
      assert.ok(error.transient);
    });

    it('gives up when nothing gets through any more, and leaves nothing once it does', async () => {
      const stream = interrupted(5_000_000, () => {
        proxy.accepts = 'silence';
        proxy.stall();
      });
      const writing = sftp.driver(3).write('job/a', stream, { signal: never });
      const error = await rejectsWith(writing, 'unavailable', 'stalled');
      assert.ok(error.transient, error.message);
      proxy.accepts = 'pass';
      proxy.reset();
      await until(sftp.isEmpty, 30_000);
    });

    it('says so when the server dies', async () => {
      const dying = await startSshd();
      const doomed = createSftpDestination({ ...dying.settings, root: dying.root, timeout: 3 });
      async function* killing(): AsyncGenerator<Buffer> {
        yield CONTENT;
        await until(() => dying.sessions().length > 0);
        await dying.stop();
        yield CONTENT;
      }
      try {
        const error = await rejectsWith(doomed.write('a', killing(), { signal: never }), 'unavailable');
        assert.ok(error.transient, error.message);
      } finally {
        await dying.stop();
      }
    });

    it('is cancelled while the server hangs, long before it would give up', async () => {
      const cancel = new AbortController();
      const stream = interrupted(5_000_000, () => {
        proxy.stall();
        setTimeout(() => cancel.abort(), 300);
      });
      const started = performance.now();
      await rejectsWith(driver.write('job/a', stream, { signal: cancel.signal }), 'aborted');
      assert.ok(performance.now() - started < 30_000);
      proxy.reset();
      await until(sftp.isEmpty, 30_000);
    });

    it('is cancelled while it waits for a connection to come back', async () => {
      const cancel = new AbortController();
      const stream = interrupted(5_000_000, () => {
        proxy.accepts = 'reset';
        proxy.reset();
        setTimeout(() => cancel.abort(), 300);
      });
      const writing = driver.write('a', stream, { signal: cancel.signal });
      const error = await rejectsWith(writing, 'aborted');
      assert.equal(error.code, 'aborted');
      proxy.accepts = 'pass';
      await until(sftp.isEmpty, 30_000);
    });
  });

  describe('while it connects', () => {
    it('says so when the server refuses connections', async () => {
      proxy.accepts = 'reset';
      for (const work of [() => put('a'), () => driver.stat('a', never), () => countListed(driver)]) {
        const error = await rejectsWith(work(), 'unavailable');
        assert.ok(error.transient, error.message);
      }
      proxy.accepts = 'pass';
      await put('a');
    });

    it('says so when the server says nothing', async () => {
      proxy.accepts = 'silence';
      const error = await rejectsWith(sftp.driver(1).stat('a', never), 'unavailable');
      assert.match(error.message, /no answer within 1 s/);
      assert.ok(error.transient);
    });

    it('says so when connections break at any point of the sign-in', async () => {
      for (let bytes = 1; bytes < 6000; bytes = Math.ceil(bytes * 1.7) + 100) {
        for (const from of ['client', 'server'] as const) {
          proxy.after(bytes, 'reset', from);
          const fresh = sftp.driver(10);
          const result = await fresh.stat('a', never).catch((error: unknown) => error);
          // The point may lie behind the work.
          if (result === undefined) continue;
          assert.ok(result instanceof BackupError, `${bytes} bytes`);
          assert.equal(result.code, 'unavailable', result.message);
          assert.ok(result.transient, result.message);
        }
      }
    });
  });
});

/** As a machine can leave a file that went down before its caches were written. */
async function zeroed(path: string, bytes: number): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(Buffer.alloc(bytes), 0, bytes, 10_000);
  await file.close();
}
