import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Clock } from '../../lib/clock.ts';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import type { RsyncOptionsInput } from '../../lib/destinations/rsync/options.ts';
import { createRsyncDestination } from '../../lib/destinations/rsync/rsync.ts';
import { BackupError } from '../../lib/errors.ts';
import { never, rejectsWith } from '../conformance/destination/fixture.ts';
import { entriesBelow, makeFolder, type RsyncServer, rsyncOverSsh } from '../conformance/rsync/storage.ts';
import { TestProxy } from '../servers/proxy.ts';
import { TestRsyncd } from '../servers/rsyncd.ts';
import { startSshd, type TestSshd } from '../servers/sshd.ts';
import { collect, cut, noise, sha256 } from '../support/byte-streams.ts';
import { childProcesses, groupOf } from '../support/child-processes.ts';
import { until } from '../support/until.ts';

const CONTENT = noise(8_000_000, 3);
const FAULTS = ['cut', 'reset'] as const;

/** Pauses between attempts pass a hundred times as fast. */
const HASTE: Clock = {
  now: () => Date.now(),
  setTimer(call, ms) {
    const timer = setTimeout(call, ms / 100);
    return { cancel: () => clearTimeout(timer) };
  },
};

describe('rsync: what breaks', function () {
  this.timeout(180_000);
  let daemon: TestRsyncd;
  let sshd: TestSshd;

  before(async () => {
    [daemon, sshd] = await Promise.all([TestRsyncd.start(), startSshd()]);
  });

  after(async () => {
    await Promise.all([daemon?.stop(), sshd?.stop()]);
  });

  for (const transport of ['daemon', 'ssh'] as const) {
    describe(transport, () => {
      let proxy: TestProxy;
      let folder: string;
      let driver: DestinationDriver;
      let settings: RsyncOptionsInput;

      beforeEach(async () => {
        const server: RsyncServer = transport === 'daemon' ? daemon : rsyncOverSsh(sshd);
        proxy = await TestProxy.start({ host: '127.0.0.1', port: server.settings.port ?? 0 });
        const root = `faults-${Math.random().toString(36).slice(2)}`;
        folder = join(server.home, root);
        await makeFolder(server, folder);
        settings = { ...server.settings, port: proxy.port, root: `${server.base}${root}` };
        driver = createRsyncDestination(settings, HASTE);
      });

      afterEach(async () => await proxy.close());

      const killServer = () => (transport === 'daemon' ? daemon.killSessions() : sshd.killSessions());
      const traces = async () => await entriesBelow(folder).catch(() => ['changing']);
      const isEmpty = async () => (await traces()).length === 0;
      const write = (path: string, content = CONTENT, signal = never) =>
        driver.write(path, cut(content, 65_536), { signal });
      const put = async (path: string, content = CONTENT) => await (await write(path, content)).commit();
      const get = async (path: string) => await collect(await driver.read(path, { signal: never }));
      const listed = async () => {
        const paths: string[] = [];
        for await (const { path } of driver.list('', never)) paths.push(path);
        return paths.sort();
      };

      describe('while it writes', () => {
        for (const fault of FAULTS) {
          it(`goes on with what has come when the connection is ${fault} in the middle`, async () => {
            proxy.after(5_000_000, fault, 'client');
            await put('job/set/a');
            assert.ok(!proxy.isArmed);
            assert.equal(sha256(await get('job/set/a')), sha256(CONTENT));
            assert.deepEqual(await traces(), ['job/', 'job/set/', 'job/set/a']);
            const again = proxy.passed.client - CONTENT.length;
            assert.ok(again < 0.6 * CONTENT.length, `${again} bytes were sent again`);
          });
        }

        it('begins anew when the connection breaks at its beginning', async () => {
          for (const bytes of [1, 30, 100, 300, 1000, 100_000]) {
            proxy.after(bytes, 'reset', 'client');
            const outcome = await put(`job/${bytes}`).catch((error: unknown) => error);
            proxy.disarm();
            // The look before the transfer is not repeated: that is for the engine.
            if (outcome instanceof BackupError) {
              assert.ok(outcome.transient, outcome.message);
              await until(async () => !(await listed()).includes(`job/${bytes}`));
            } else assert.equal(sha256(await get(`job/${bytes}`)), sha256(CONTENT));
          }
          await until(async () => (await readdir(folder)).every((name) => !name.startsWith('.')), 60_000);
        });

        it('gives up when nothing gets through, and leaves nothing', async () => {
          async function* doomed(): AsyncGenerator<Buffer> {
            yield CONTENT;
            proxy.accepts = 'reset';
            proxy.reset();
          }
          const error = await rejectsWith(driver.write('job/a', doomed(), { signal: never }), 'unavailable');
          assert.ok(error.transient, error.message);
          proxy.accepts = 'pass';
          await until(isEmpty, 60_000);
        });

        it('notices a line on which nothing moves any more', async () => {
          driver = createRsyncDestination({ ...settings, timeout: 1 }, HASTE);
          proxy.after(3_000_000, 'stall', 'client');
          await put('job/a');
          assert.ok(!proxy.isArmed);
          assert.equal(sha256(await get('job/a')), sha256(CONTENT));
          await until(async () => (await traces()).join() === 'job/,job/a', 60_000);
        });

        it('stores no wrong byte when one is changed on the way', async () => {
          proxy.after(4_000_000, 'damage', 'client');
          const outcome = await put('job/a').catch((error: unknown) => error);
          assert.ok(!proxy.isArmed);
          if (outcome instanceof BackupError) assert.ok(outcome.transient, outcome.message);
          else assert.equal(sha256(await get('job/a')), sha256(CONTENT));
        });

        it('goes on when rsync is killed, there or here', async () => {
          for (const kill of [killServer, killOurs]) {
            proxy.after(3_000_000, 'stall', 'client');
            const writing = put(`job/${kill.name}`);
            await until(() => !proxy.isArmed, 60_000);
            kill();
            proxy.resume();
            await writing;
            assert.equal(sha256(await get(`job/${kill.name}`)), sha256(CONTENT));
          }
        });

        it('stops at once when it is aborted, and leaves nothing', async () => {
          for (const bytes of [100, 1_000_000, 7_000_000]) {
            const cancel = new AbortController();
            const before = proxy.passed.client;
            const writing = write('job/set/a', CONTENT, cancel.signal);
            writing.catch(() => undefined);
            await until(() => proxy.passed.client - before > bytes, 60_000);
            const started = performance.now();
            cancel.abort();
            const outcome = await writing.catch((error: unknown) => error);
            if (outcome instanceof BackupError) {
              assert.equal(outcome.code, 'aborted');
              assert.ok(performance.now() - started < 2000, 'within two seconds');
            } else await (outcome as { abort(): Promise<void> }).abort();
            await until(isEmpty, 60_000);
            await until(() => childProcesses().every((pid) => groupOf(pid).length === 0), 30_000);
          }
        });

        it('stops at once also when the server does not move any more', async () => {
          const cancel = new AbortController();
          proxy.after(2_000_000, 'stall', 'client');
          const writing = write('job/a', CONTENT, cancel.signal);
          writing.catch(() => undefined);
          await until(() => !proxy.isArmed, 60_000);
          const started = performance.now();
          cancel.abort();
          await rejectsWith(writing, 'aborted');
          assert.ok(performance.now() - started < 2500, 'about two seconds');
          proxy.resume();
          await until(isEmpty, 60_000);
        });
      });

      describe('while it commits', () => {
        for (const from of ['client', 'server'] as const) {
          it(`is committed or not, and nothing in between, wherever the ${from} is cut off`, async () => {
            const content = noise(200_000, 5);
            for (const bytes of [1, 60, 150, 250, 350, 450, 600, 800]) {
              const path = `job/${bytes}`;
              const pending = await write(path, content);
              proxy.after(bytes, 'reset', from);
              const outcome = await pending.commit().catch((error: unknown) => error);
              proxy.disarm();
              if (outcome instanceof BackupError) {
                assert.ok(outcome.transient, outcome.message);
                await pending.abort();
                assert.deepEqual((await listed()).includes(path), false);
              } else assert.equal(sha256(await get(path)), sha256(content));
              const left = (await traces()).filter((trace) => trace.includes('.partial'));
              assert.deepEqual(left, [], `cut off after ${bytes} bytes`);
            }
          });
        }

        it('says so when nothing gets through, and can be aborted', async () => {
          const pending = await write('job/a');
          proxy.accepts = 'reset';
          proxy.reset();
          const error = await rejectsWith(pending.commit(), 'unavailable');
          assert.ok(error.transient);
          proxy.accepts = 'pass';
          await pending.abort();
          assert.deepEqual(await traces(), []);
        });
      });

      describe('while it reads', () => {
        beforeEach(async () => await put('job/a'));

        for (const fault of FAULTS) {
          it(`goes on when the connection is ${fault}`, async () => {
            const before = proxy.passed.server;
            proxy.after(4_000_000, fault);
            assert.equal(sha256(await get('job/a')), sha256(CONTENT));
            assert.ok(!proxy.isArmed);
            const again = proxy.passed.server - before - CONTENT.length;
            assert.ok(again < 0.6 * CONTENT.length, `${again} bytes came again`);
          });
        }

        it('gives back no wrong byte when one is changed on the way', async () => {
          proxy.after(4_000_000, 'damage');
          assert.equal(sha256(await get('job/a')), sha256(CONTENT));
          assert.ok(!proxy.isArmed);
        });

        it('does not mix two versions of an object', async () => {
          proxy.after(4_000_000, 'stall');
          const reading = get('job/a');
          reading.catch(() => undefined);
          await until(() => !proxy.isArmed, 60_000);
          const other = createRsyncDestination({ ...settings });
          const next = noise(8_000_000, 9);
          const pending = await other.write('job/a', cut(next, 65_536), { signal: never, replace: true });
          await pending.commit();
          proxy.reset();
          const outcome = await reading.catch((error: unknown) => error);
          if (outcome instanceof BackupError) assert.equal(outcome.code, 'incomplete', outcome.message);
          else assert.equal(sha256(outcome as Buffer), sha256(next));
        });

        it('says so when nothing gets through', async () => {
          proxy.accepts = 'reset';
          proxy.reset();
          const error = await rejectsWith(get('job/a'), 'unavailable');
          assert.ok(error.transient);
        });
      });

      describe('while it lists and removes', () => {
        beforeEach(async () => {
          for (const name of ['a', 'b', 'c']) await put(`job/${name}`, Buffer.from(name));
        });

        it('never takes less for the whole list', async () => {
          const whole = ['job/a', 'job/b', 'job/c'];
          for (const bytes of [1, 50, 100, 150, 200, 250, 300, 350, 400]) {
            for (const fault of FAULTS) {
              proxy.after(bytes, fault);
              const outcome = await listed().catch((error: unknown) => error);
              proxy.disarm();
              if (outcome instanceof BackupError) assert.ok(outcome.transient, outcome.message);
              else assert.deepEqual(outcome, whole, `${fault} after ${bytes} bytes`);
            }
          }
          assert.deepEqual(await listed(), whole);
        });

        it('removes what it was told to, or nothing', async () => {
          for (const bytes of [1, 100, 200, 300, 400, 600]) {
            proxy.after(bytes, 'reset', 'client');
            const outcome = await driver.remove('job/b', never).catch((error: unknown) => error);
            proxy.disarm();
            if (outcome instanceof BackupError) assert.ok(outcome.transient, outcome.message);
            const left = await listed();
            assert.ok(['job/a,job/b,job/c', 'job/a,job/c'].includes(left.join()), left.join());
          }
          await driver.remove('job/b', never);
          assert.deepEqual(await listed(), ['job/a', 'job/c']);
        });

        it('stops at once when it is aborted while the server hangs', async () => {
          driver = createRsyncDestination({ ...settings, timeout: 3600 }, HASTE);
          assert.ok(await driver.stat('job/a', never));
          const stop = new AbortController();
          proxy.after(1, 'stall', 'client');
          const looking = driver.stat('job/a', stop.signal);
          looking.catch(() => undefined);
          await until(() => !proxy.isArmed);
          stop.abort();
          await rejectsWith(looking, 'aborted');
        });

        it('gives up on a server that does not answer', async () => {
          const impatient = createRsyncDestination({ ...settings, timeout: 1 });
          proxy.accepts = 'silence';
          const error = await rejectsWith(impatient.stat('job/a', never), 'stalled', 'unavailable');
          assert.ok(error.transient, error.message);
          const cancel = new AbortController();
          const waiting = driver.stat('job/a', cancel.signal);
          waiting.catch(() => undefined);
          await wait(100);
          const started = performance.now();
          cancel.abort();
          await rejectsWith(waiting, 'aborted');
          assert.ok(performance.now() - started < 2500, 'about two seconds');
        });
      });
    });
  }

  it('says so when the daemon dies', async () => {
    const dying = await TestRsyncd.start();
    const driver = createRsyncDestination({ ...dying.settings, timeout: 5 }, HASTE);
    async function* killing(): AsyncGenerator<Buffer> {
      yield CONTENT;
      await dying.stop();
    }
    const error = await rejectsWith(driver.write('a', killing(), { signal: never }), 'unavailable');
    assert.ok(error.transient, error.message);
    assert.match(error.message, /ECONNREFUSED.*check host and port/);
  });
});

/** The rsync of this host, with what it has started. */
function killOurs(): void {
  for (const pid of childProcesses()) {
    // Servers of the tests are in other groups.
    if (groupOf(pid).length > 1) process.kill(-pid, 'SIGKILL');
  }
}
