import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { commitFolder } from '../../lib/destinations/commit-folder.ts';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { openStorage } from '../../lib/destinations/open.ts';
import { createRsyncDestination } from '../../lib/destinations/rsync/rsync.ts';
import { BackupError } from '../../lib/errors.ts';
import { never, rejectsWith } from '../conformance/destination/fixture.ts';
import { entriesBelow, makeFolder } from '../conformance/rsync/storage.ts';
import { TestProxy } from '../servers/proxy.ts';
import { type RsyncdSettings, TestRsyncd } from '../servers/rsyncd.ts';
import { collect, cut, noise, sha256 } from '../support/byte-streams.ts';
import { childProcesses, groupOf } from '../support/child-processes.ts';
import { killedStorageWriter } from '../support/killed-storage-writer.ts';
import { skipBecause } from '../support/skip.ts';
import { fillDisk, mountSmallDisk } from '../support/small-disk.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);

describe('rsync destination on a daemon', function () {
  this.timeout(120_000);
  let server: TestRsyncd;
  /** A fresh folder of the module, and a driver on it. */
  let root: string;
  let folder: string;
  let driver: DestinationDriver;

  before(async () => {
    server = await TestRsyncd.start();
  });

  after(async () => await server.stop());

  beforeEach(async () => {
    root = `root-${Math.random().toString(36).slice(2)}`;
    folder = join(server.home, root);
    await makeFolder(server, folder);
    driver = createRsyncDestination({ ...server.settings, root });
  });

  const put = async (to: DestinationDriver, path: string, content: Buffer, replace = false) => {
    const pending = await to.write(path, cut(content, 65_536), { signal: never, replace });
    await pending.commit();
  };
  const get = async (path: string) => await collect(await driver.read(path, { signal: never }));
  const list = async (prefix = '') => {
    const paths: string[] = [];
    for await (const { path } of driver.list(prefix, never)) paths.push(path);
    return paths.sort();
  };
  /** As the server's account would have put it there. */
  const plant = async (path: string, content = path) => {
    await makeFolder(server, dirname(join(folder, path)));
    await writeFile(join(folder, path), content);
  };

  it('creates its folder when asked to, and is empty before', async () => {
    const made = `${root}/made for/it`;
    const creating = createRsyncDestination({ ...server.settings, root: made, create: true });
    for await (const { path } of creating.list('', never)) assert.fail(`listed ${path}`);
    assert.equal(await creating.stat('a', never), undefined);
    await creating.remove('a', never);
    assert.deepEqual(await creating.sweep(new Date(), never), []);
    assert.deepEqual(await entriesBelow(folder), [], 'reading makes nothing');
    await put(creating, 'job/a', Buffer.from('content'));
    assert.deepEqual(await list(), ['made for/it/job/a']);
  });

  it('stores for nobody else to read', async () => {
    await put(driver, 'job/a', Buffer.from('secret'));
    assert.equal((await stat(join(folder, 'job/a'))).mode & 0o777, 0o600);
    assert.equal((await stat(join(folder, 'job'))).mode & 0o777, 0o700);
  });

  it('works in the module itself', async () => {
    const whole = createRsyncDestination(server.settings);
    await put(whole, `${root}/a`, Buffer.from('a'));
    assert.deepEqual(await list(), ['a']);
    await whole.remove(`${root}/a`, never);
  });

  describe('removing', () => {
    /** Each is a pattern that fits another one of them, for those who do not quote it. */
    const WICKED = [
      'job/*',
      'job/**',
      'job/a*',
      'job/ab',
      'job/a',
      'job/a?b',
      'job/axb',
      'job/[ab]',
      'job/b',
      'job/[!a]',
      'job/***',
      'job/a]',
      'job/ a ',
      'job/- a',
      'job/+ a',
      'job/!',
      'job/#a',
      'job/;a',
      'jo*/a',
      'jo?/a',
      '*/a',
      '**/a',
      '[j]ob/a',
      'job/set/a',
      'job/set/a/',
      'a',
    ].filter((path) => !path.endsWith('/'));

    it('removes exactly one object, whatever its name means to rsync', async () => {
      for (const path of WICKED) await plant(path);
      await plant('.hidden', 'not ours');
      await plant('job/.git/config', 'not ours either');
      await makeFolder(server, join(folder, 'empty'));
      const neighbour = join(server.home, `${root}-neighbour`);
      await makeFolder(server, neighbour);
      await writeFile(join(neighbour, 'a'), 'of somebody else');
      let left = await entriesBelow(folder);
      for (const path of WICKED) {
        await driver.remove(path, never);
        const above = path.split('/').slice(0, -1);
        const gone = new Set([path, ...above.map((_, index) => `${above.slice(0, index + 1).join('/')}/`)]);
        const now = await entriesBelow(folder);
        for (const entry of left) {
          if (now.includes(entry)) continue;
          assert.ok(gone.has(entry), `${entry} went with ${path}`);
          if (!entry.endsWith('/')) continue;
          assert.ok(!now.some((other) => other.startsWith(entry)), `${entry} was not empty`);
        }
        assert.ok(!now.includes(path), `${path} is still there`);
        left = now;
      }
      assert.deepEqual(left, ['.hidden', 'empty/', 'job/', 'job/.git/', 'job/.git/config']);
      assert.equal(await readFile(join(neighbour, 'a'), 'utf8'), 'of somebody else');
    });

    it('removes no folder, and nothing through a link', async () => {
      await plant('job/set/a');
      await rejectsWith(driver.remove('job/set', never), 'invalid-config');
      const elsewhere = join(server.home, `${root}-elsewhere`);
      await makeFolder(server, elsewhere);
      await writeFile(join(elsewhere, 'a'), 'stays');
      await symlink(elsewhere, join(folder, 'link'));
      for (const work of [
        () => driver.remove('link/a', never),
        () => driver.remove('link', never),
        () => driver.stat('link/a', never),
        () => put(driver, 'link/b', Buffer.from('b')),
        () => list(),
      ]) {
        const error = await rejectsWith(work(), 'invalid-config');
        assert.match(error.message, /link is a symbolic link on the server/);
      }
      assert.ok((await lstat(join(folder, 'link'))).isSymbolicLink());
      assert.deepEqual(await readdir(elsewhere), ['a']);
      assert.deepEqual(await list('job'), ['job/set/a']);
    });

    it('says so when it may not', async function () {
      if (process.getuid?.() !== 0) skipBecause(this, 'only root can make a folder of somebody else');
      await plant('job/set/a');
      // rsync helps itself to the right to write where the folder is its account's own.
      await chown(join(folder, 'job/set'), 0, 0);
      await rejectsWith(driver.remove('job/set/a', never), 'permission');
      assert.deepEqual(await list(), ['job/set/a']);
    });

    it('says which option the module refuses', async () => {
      await withServer({ config: ['refuse options = delete'] }, async (strict) => {
        await writeFile(join(strict.home, 'a'), 'a');
        const error = await rejectsWith(
          createRsyncDestination(strict.settings).remove('a', never),
          'permission',
        );
        assert.match(error.message, /refuse --delete.*let the server allow/);
      });
    });
  });

  it('lists names as they are, and leaves those out that it would not take', async () => {
    const good = ['job/plain', 'job/back#012slash', 'job/データ', 'job/ two  blanks ', 'job/a -> b'];
    for (const path of good) await plant(path);
    for (const name of ['line\nbreak', 'back\\slash', 'back\\#012', 'tab\t', '.hidden'])
      await plant(`job/${name}`);
    await writeFile(Buffer.concat([Buffer.from(`${folder}/job/`), Buffer.from([0x61, 0xff])]), 'no UTF-8');
    assert.deepEqual(await list(), good.toSorted());
    assert.deepEqual(await list('job'), good.toSorted());
  });

  it('lets who lists look at what is listed meanwhile, with the fewest connections', async () => {
    for (const name of ['a', 'b', 'c']) await plant(`job/${name}`);
    const few = createRsyncDestination({ ...server.settings, root, connections: 2 });
    const found: (number | undefined)[] = [];
    for await (const { path } of few.list('', never)) found.push((await few.stat(path, never))?.bytes);
    assert.deepEqual(found, [5, 5, 5]);
  });

  it('takes no folder that it may not read for an empty one', async () => {
    await plant('job/a');
    await plant('locked/b');
    await chmod(join(folder, 'locked'), 0);
    await rejectsWith(list(), 'permission');
    await rejectsWith(list('locked'), 'permission');
    assert.deepEqual(await list('job'), ['job/a']);
    await chmod(join(folder, 'locked'), 0o755);
  });

  it('stores nothing below a file, and leaves the file', async () => {
    await plant('job/a');
    const error = await rejectsWith(put(driver, 'job/a/b', Buffer.from('b')), 'invalid-config');
    assert.match(error.message, /job\/a is a file/);
    await rejectsWith(put(driver, 'job', Buffer.from('x'), true), 'invalid-config');
    assert.deepEqual(await entriesBelow(folder), ['job/', 'job/a']);
  });

  it('stores and replaces names that rsync takes for comments in its lists', async () => {
    for (const path of ['#a', ';job/set/a', 'job/#a']) {
      await put(driver, path, Buffer.from('first'));
      await put(driver, path, Buffer.from('second'), true);
      await put(driver, path, Buffer.from('second'), true);
      assert.equal((await get(path)).toString(), 'second', path);
      await driver.remove(path, never);
    }
    assert.deepEqual(await entriesBelow(folder), []);
  });

  it('replaces a file by one of the same size within the same second', async () => {
    await put(driver, 'job/a', Buffer.from('old'));
    await put(driver, 'job/a', Buffer.from('new'), true);
    assert.equal((await get('job/a')).toString(), 'new');
  });

  it('copies where its disk has no hard links between the folders', async function () {
    if (process.getuid?.() !== 0) skipBecause(this, 'only root can mount a disk');
    await makeFolder(server, join(folder, 'job'));
    await run('mount', ['-t', 'tmpfs', '-o', 'size=8m,mode=777', 'tmpfs', join(folder, 'job')]);
    try {
      const content = noise(3_000_000);
      await put(driver, 'job/set/a', content);
      await rejectsWith(put(driver, 'job/set/a', content), 'already-exists');
      assert.equal(sha256(await get('job/set/a')), sha256(content));
      assert.deepEqual(await entriesBelow(folder), ['job/', 'job/set/', 'job/set/a']);
    } finally {
      await run('umount', ['--lazy', join(folder, 'job')]);
    }
  });

  it('works in modules that are roots of their own', async function () {
    if (process.getuid?.() !== 0) skipBecause(this, 'only root can change the root of a process');
    await withServer({ config: ['use chroot = yes'] }, async (jail) => {
      await makeFolder(jail, join(jail.home, 'in jail'));
      const storage = createRsyncDestination({ ...jail.settings, root: 'in jail' });
      const content = noise(200_000);
      for (const set of ['one', 'two']) await put(storage, `job/${set}/a`, content);
      await storage.remove('job/one/a', never);
      assert.deepEqual(await entriesBelow(jail.home), [
        'in jail/',
        'in jail/job/',
        'in jail/job/two/',
        'in jail/job/two/a',
      ]);
    });
  });

  it('does without what the module refuses, where it can', async () => {
    await withServer({ config: ['refuse options = fsync'] }, async (strict) => {
      const storage = createRsyncDestination(strict.settings);
      await put(storage, 'job/a', Buffer.from('a'));
      await put(storage, 'job/a', Buffer.from('b'), true);
      assert.deepEqual(await entriesBelow(strict.home), ['job/', 'job/a']);
    });
  });

  it('says so when the module has all the connections that it may', async () => {
    const locks = await mkdtemp(join(tmpdir(), 'dbackup-locks-'));
    try {
      const config = ['max connections = 1', `lock file = ${join(locks, 'lock')}`];
      await withServer({ config }, async (busy) => {
        const proxy = await TestProxy.start(busy);
        const cancel = new AbortController();
        const first = createRsyncDestination({ ...busy.settings, port: proxy.port });
        // The daemon has let it in by then.
        proxy.after(150, 'stall');
        const held = first.stat('a', cancel.signal);
        held.catch(() => undefined);
        await until(() => !proxy.isArmed, 30_000);
        const error = await rejectsWith(
          createRsyncDestination(busy.settings).stat('a', never),
          'unavailable',
        );
        assert.match(error.message, /max connections \(1\) reached.*lower the number of connections/);
        assert.ok(error.transient);
        cancel.abort();
        await rejectsWith(held, 'aborted');
        await proxy.close();
      });
    } finally {
      await rm(locks, { recursive: true, force: true });
    }
  });

  describe('its lock', () => {
    it('keeps a second one out, and is swept when its owner is gone', async () => {
      const lock = join(folder, ...commitFolder(['job', 'a']));
      await makeFolder(server, dirname(lock));
      await symlink('.a.0123456789abcdef.partial', lock);
      const pending = await driver.write('job/a', cut(Buffer.from('a'), 1), { signal: never });
      const error = await rejectsWith(pending.commit(), 'already-exists');
      assert.ok(error.transient);
      assert.match(error.message, /Another process is writing job\/a.*\.commit\.[0-9a-f]{16}\.partial/);
      await pending.abort();
      assert.deepEqual(
        await entriesBelow(folder),
        ['job/', `job/${lock.split('/').at(-1)}`],
        'it is not ours',
      );
      assert.deepEqual(await list(), []);
      assert.deepEqual(await driver.sweep(new Date(Date.now() - 3_600_000), never), []);
      assert.deepEqual(await driver.sweep(new Date(Date.now() + 60_000), never), [
        `job/${lock.split('/').at(-1)}`,
      ]);
      await put(driver, 'job/a', Buffer.from('a'));
    });

    it('lets one of many win, again and again', async () => {
      for (let turn = 0; turn < 5; turn += 1) {
        const pending = await Promise.all(
          Array.from({ length: 4 }, async (_, index) => {
            const own = createRsyncDestination({ ...server.settings, root });
            return await own.write(`race/${turn}`, cut(noise(1000 + index), 100), { signal: never });
          }),
        );
        const results = await Promise.allSettled(pending.map((each) => each.commit()));
        await Promise.all(pending.map((each) => each.abort()));
        assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
      }
      assert.equal((await entriesBelow(folder)).length, 6, 'five files in one folder');
    });
  });

  it('tells what is unfinished, with and without an earlier file to compare with', async () => {
    const content = noise(200_000);
    await put(driver, 'job/one/a', content);
    const pending = await driver.write('job/two/a', cut(content, 65_536), { signal: never });
    const other = await driver.write('else/b', cut(Buffer.from('b'), 1), { signal: never });
    const told = async (prefix: string) => {
      const found: string[] = [];
      for await (const { path, bytes } of driver.unfinished?.(prefix, never) ?? []) {
        found.push(`${path.replace(/[0-9a-f]{16}/, '…')} ${bytes}`);
      }
      return found.sort();
    };
    assert.deepEqual(await told(''), ['else/.b.….partial 1', 'job/two/.a.….partial 200000']);
    assert.deepEqual(await told('job/two'), ['job/two/.a.….partial 200000']);
    assert.deepEqual(await told('job/one'), []);
    assert.deepEqual(
      await driver.sweep(new Date(Date.now() + 60_000), never),
      [],
      'what we write is not swept',
    );
    await pending.commit();
    await other.abort();
    assert.deepEqual(await told(''), []);
  });

  describe('its spool', () => {
    let spool: string;

    beforeEach(async () => {
      spool = await mkdtemp(join(tmpdir(), 'dbackup-spool-'));
      driver = createRsyncDestination({ ...server.settings, root, spoolDirectory: spool });
    });

    afterEach(async () => await rm(spool, { recursive: true, force: true }));

    it('is readable by nobody else, and gone after success, abort and failure', async () => {
      const modes = new Set<number>();
      async function* looking(): AsyncGenerator<Buffer> {
        yield noise(100_000);
        for (const entry of await readdir(spool, { recursive: true, withFileTypes: true })) {
          const { mode } = await stat(join(entry.parentPath, entry.name));
          modes.add(entry.isDirectory() ? mode & 0o077 : mode & 0o777);
        }
      }
      const pending = await driver.write('job/a', looking(), { signal: never });
      assert.deepEqual([...modes].sort(), [0, 0o600]);
      assert.equal((await readdir(spool)).length, 1, 'kept until the commit');
      await pending.commit();
      assert.deepEqual(await readdir(spool), []);

      const aborted = await driver.write('job/b', cut(Buffer.from('b'), 1), { signal: never });
      await aborted.abort();
      await rejectsWith(put(driver, 'job/a', Buffer.from('x')), 'already-exists');
      async function* dying(): AsyncGenerator<Buffer> {
        yield Buffer.from('x');
        throw new BackupError('incomplete', 'the dump died');
      }
      await rejectsWith(driver.write('job/c', dying(), { signal: never }), 'incomplete');
      for await (const chunk of await driver.read('job/a', { signal: never })) {
        assert.ok(chunk.length > 0);
        assert.deepEqual(await readdir(spool), [], 'a copy that is read has no name');
      }
      await driver.remove('job/a', never);
      assert.deepEqual(await readdir(spool), []);
    });

    it('is swept of what a killed process left', async () => {
      const recipe = {
        module: new URL('../../lib/destinations/rsync/rsync.ts', import.meta.url).href,
        create: 'createRsyncDestination',
        options: { ...server.settings, root, spoolDirectory: spool },
      };
      await killedStorageWriter(recipe, 'job/dead');
      assert.equal((await readdir(spool)).length, 1);
      assert.deepEqual(await entriesBelow(folder), [], 'the server knows nothing of it yet');
      const strangers = join(spool, 'dbackup-rsync-of-somebody');
      await mkdir(strangers);
      await put(driver, 'job/a', Buffer.from('a'));
      assert.deepEqual(await readdir(spool), ['dbackup-rsync-of-somebody']);
    });

    it('says so when it is missing', async () => {
      await rm(spool, { recursive: true });
      const error = await rejectsWith(put(driver, 'a', Buffer.from('a')), 'not-found');
      assert.ok(error.message.includes(spool));
    });

    it('refuses what cannot fit before a byte is taken, and what turns out to be too large', async function () {
      const disk = await mountSmallDisk(this, 'size=40m');
      try {
        const cramped = createRsyncDestination({ ...server.settings, root, spoolDirectory: disk.path });
        let taken = 0;
        async function* counted(): AsyncGenerator<Buffer> {
          taken += 1;
          yield Buffer.from('x');
        }
        const writing = cramped.write('a', counted(), { signal: never, expectedBytes: 20_000_000 });
        const error = await rejectsWith(writing, 'no-space');
        assert.match(error.message, /spool folder .* bytes free.*set another spool folder/);
        assert.equal(taken, 0);
        await rejectsWith(
          cramped.write('a', cut(noise(50_000_000), 1_000_000), { signal: never }),
          'no-space',
        );
        await plant('large', '');
        await writeFile(join(folder, 'large'), noise(20_000_000));
        const reading = async () => await collect(await cramped.read('large', { signal: never }));
        await rejectsWith(reading(), 'no-space');
        assert.deepEqual(await readdir(disk.path), []);
      } finally {
        await disk.unmount();
      }
      assert.deepEqual(await entriesBelow(folder), ['large']);
    });
  });

  it('says so when the disk of the server is full, and leaves nothing', async function () {
    const disk = await mountSmallDisk(this, 'size=4m');
    try {
      await withServer({ modules: [{ name: 'small', path: disk.path }] }, async (small) => {
        const storage = createRsyncDestination({
          ...small.settings,
          module: 'small',
          user: '',
          password: undefined,
        });
        const error = await rejectsWith(put(storage, 'job/a', noise(12_000_000)), 'no-space');
        assert.match(error.message, /No space left.*free space there/);
        await until(async () => (await readdir(disk.path)).length === 0, 20_000);
        await put(storage, 'job/a', noise(1_000_000));
        fillDisk(disk.path);
        await rejectsWith(put(storage, 'job/b', noise(100_000)), 'no-space');
      });
    } finally {
      await disk.unmount();
    }
  });

  it('shows its password to nobody', async () => {
    const { password = '' } = server.settings;
    const proxy = await TestProxy.start(server);
    try {
      const held = createRsyncDestination({ ...server.settings, port: proxy.port, root });
      assert.ok(!held.describe().includes(password));
      const cancel = new AbortController();
      proxy.after(1, 'stall');
      const listing = held.stat('job/a', cancel.signal);
      listing.catch(() => undefined);
      await until(() => !proxy.isArmed, 30_000);
      const shown = childProcesses().flatMap((pid) =>
        groupOf(pid).flatMap((each) => [file(each, 'cmdline'), file(each, 'environ')]),
      );
      assert.ok(
        shown.some((text) => text.includes('--password-file=-')),
        'rsync runs',
      );
      for (const text of shown) assert.ok(!text.includes(password));
      cancel.abort();
      await rejectsWith(listing, 'aborted');
    } finally {
      await proxy.close();
    }
    const wrong = createRsyncDestination({ ...server.settings, user: 'nobody-here' });
    const error = await rejectsWith(wrong.probe(never), 'permission');
    assert.ok(!`${error.message}${String(error.cause)}`.includes(password));
  });

  it('needs an rsync that is new enough', async () => {
    const bin = await mkdtemp(join(tmpdir(), 'dbackup-bin-'));
    try {
      for (const [said, pattern] of [
        ['rsync  version 3.2.3  protocol version 31', /version 3\.2\.3.*3\.2\.4 or later is needed/],
        ['openrsync: protocol version 29', /openrsync.*or later is needed/],
      ] as const) {
        const program = join(bin, said.slice(0, 9));
        await writeFile(program, `#!/bin/sh\necho '${said}'\n`, { mode: 0o755 });
        const old = createRsyncDestination({ ...server.settings, root, program });
        const error = await rejectsWith(old.probe(never), 'unavailable');
        assert.match(error.message, pattern);
      }
    } finally {
      await rm(bin, { recursive: true });
    }
  });

  it('leaves no variable of rsync to chance', async () => {
    const variables = {
      RSYNC_RSH: '/bin/false',
      RSYNC_PROXY: 'nowhere:1',
      RSYNC_PASSWORD: 'x',
      RSYNC_ICONV: 'x,y',
    };
    Object.assign(process.env, variables);
    try {
      await put(driver, 'job/ä', Buffer.from('a'));
      assert.deepEqual(await list(), ['job/ä']);
    } finally {
      for (const name of Object.keys(variables)) delete process.env[name];
    }
  });

  describe('by URL', () => {
    const variables = ['DBACKUP_RSYNC_PASSWORD', 'DBACKUP_RSYNC_PASSWORD_FILE'];
    afterEach(() => {
      for (const name of variables) delete process.env[name];
    });

    it('opens a folder of a module with a password from the environment', async () => {
      await plant('job/a');
      const { user = '', password = '' } = server.settings;
      process.env.DBACKUP_RSYNC_PASSWORD = password;
      const opened = openStorage(`rsync://${user}@127.0.0.1:${server.port}/backups/${root}`);
      assert.equal(opened.describe(), `rsync://127.0.0.1:${server.port}/backups/${root}`);
      assert.equal((await opened.stat('job/a', never))?.bytes, 5);
    });

    it('refuses URLs with secrets, and such that name no module', () => {
      for (const [url, message] of [
        ['rsync://user:hidden@host/module', /holds a password/],
        ['rsync://host', /names no module/],
        ['rsync://host/', /names no module/],
        ['rsync+ssh://host/folder', /names no user/],
        ['rsync+ssh://user:hidden@host/folder', /holds a password/],
        ['rsync+ssh://user@host/folder', /needs the host keys of host/],
      ] as const) {
        assert.throws(
          () => openStorage(url),
          (error) =>
            error instanceof BackupError &&
            error.code === 'invalid-config' &&
            message.test(error.message) &&
            !error.message.includes('hidden'),
          url,
        );
      }
    });
  });

  it('does not fail over times that are in the future', async () => {
    await plant('job/a');
    const future = new Date(Date.now() + 86_400_000);
    await utimes(join(folder, 'job/a'), future, future);
    await put(driver, 'job/b', Buffer.from('b'));
    assert.deepEqual(await list(), ['job/a', 'job/b']);
    await unlink(join(folder, 'job/a'));
  });
});

async function withServer(
  settings: RsyncdSettings,
  work: (server: TestRsyncd) => Promise<void>,
): Promise<void> {
  const server = await TestRsyncd.start(settings);
  try {
    await work(server);
  } finally {
    await server.stop();
  }
}

function file(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}
