import assert from 'node:assert/strict';
import {
  chmod,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStorage } from '../../lib/destinations/open.ts';
import type { SftpOptionsInput } from '../../lib/destinations/sftp/options.ts';
import { createSftpDestination } from '../../lib/destinations/sftp/sftp.ts';
import { BackupError } from '../../lib/errors.ts';
import { never, rejectsWith } from '../conformance/destination/fixture.ts';
import { makeFolder } from '../conformance/sftp/storage.ts';
import { ProftpdSftp } from '../servers/proftpd-sftp.ts';
import { TestProxy } from '../servers/proxy.ts';
import { startSshd, type TestSshd } from '../servers/sshd.ts';
import { collect, cut, noise, sha256 } from '../support/byte-streams.ts';
import { skipBecause } from '../support/skip.ts';

const GIB = 1024 ** 3;

describe('sftp destination on a server', function () {
  this.timeout(60_000);
  let server: TestSshd;

  before(async () => {
    server = await startSshd();
  });

  after(async () => await server.stop());

  const options = (changes: object = {}) =>
    ({ ...server.settings, root: server.root, ...changes }) as SftpOptionsInput;
  const list = async (root: string) => {
    const paths: string[] = [];
    for await (const { path } of createSftpDestination(options({ root })).list('', never)) paths.push(path);
    return paths.sort();
  };
  const folder = async (name: string) => {
    await makeFolder(server, join(server.folder, name));
    return { path: join(server.folder, name), root: `${server.root}/${name}` };
  };

  it('creates its folder when asked to, and is empty before', async () => {
    const root = `${server.root}/made/for it`;
    const driver = createSftpDestination(options({ root, create: true }));
    for await (const { path } of driver.list('', never)) assert.fail(`listed ${path}`);
    assert.equal(await driver.stat('a', never), undefined);
    await driver.remove('a', never);
    assert.deepEqual(await driver.sweep(new Date(), never), []);
    assert.ok(!(await readdir(server.folder)).includes('made'), 'reading makes nothing');
    const write = { signal: never, expectedBytes: 7 };
    const pending = await driver.write('job/a', cut(Buffer.from('content'), 3), write);
    await pending.commit();
    const path = join(server.folder, 'made/for it');
    assert.equal(await readFile(join(path, 'job/a'), 'utf8'), 'content');
    assert.deepEqual(await list(path), ['job/a'], 'the same by its absolute path');
    assert.equal((await stat(join(path, 'job/a'))).mode & 0o777, 0o600);
    assert.equal((await stat(join(path, 'job'))).mode & 0o777, 0o700);
  });

  it('reads only what is asked for, also beyond 4 GiB', async () => {
    const { path, root } = await folder('large');
    const file = await open(join(path, 'object'), 'w');
    const end = 5 * GIB;
    await file.write(Buffer.from('the very end'), 0, 12, end - 12);
    await file.write(Buffer.from('in the middle'), 0, 13, 3 * GIB);
    await file.close();
    await chmod(join(path, 'object'), 0o644);
    const driver = createSftpDestination(options({ root }));
    const read = async (range: { start: number; end?: number }) =>
      (await collect(await driver.read('object', { signal: never, range }))).toString();
    assert.equal((await driver.stat('object', never))?.bytes, end);
    assert.equal(await read({ start: end - 12 }), 'the very end');
    assert.equal(await read({ start: 3 * GIB + 3, end: 3 * GIB + 6 }), 'the');
  });

  it('takes no folder that it may not read for an empty one', async () => {
    const { path, root } = await folder('partly');
    await folder('partly/job');
    await folder('partly/locked');
    await writeFile(join(path, 'job/a'), 'a');
    await chmod(join(path, 'locked'), 0);
    await rejectsWith(list(root), 'permission');
  });

  it('passes over what a file system keeps in its root', async () => {
    const { path, root } = await folder('disk');
    await folder('disk/lost+found');
    await chmod(join(path, 'lost+found'), 0);
    assert.deepEqual(await list(root), []);
  });

  describe('links', () => {
    it('out of the storage, or nowhere, are refused by a listing', async () => {
      const { path, root } = await folder('links');
      for (const target of ['/etc', '../elsewhere', '/nowhere/at all']) {
        await symlink(target, join(path, 'link'));
        const error = await rejectsWith(list(root), 'invalid-config');
        assert.match(error.message, /link is a symbolic link out of the storage/);
        await unlink(join(path, 'link'));
      }
      assert.deepEqual(await list(root), []);
    });

    it('within the storage are passed over', async () => {
      const { path, root } = await folder('inner');
      await folder('inner/job');
      await writeFile(join(path, 'job/a'), 'a');
      await symlink('job', join(path, 'same'));
      assert.deepEqual(await list(root), ['job/a']);
    });

    it('are not followed, neither as an object nor as a folder', async () => {
      const { path, root } = await folder('followed');
      await folder('outside');
      await writeFile(join(server.folder, 'outside/a'), 'secret');
      await symlink(join(server.folder, 'outside'), join(path, 'job'));
      await symlink(join(server.folder, 'outside/a'), join(path, 'object'));
      const driver = createSftpDestination(options({ root }));
      for (const object of ['job/a', 'object']) {
        await rejectsWith(driver.stat(object, never), 'invalid-config');
        await rejectsWith(driver.read(object, { signal: never }), 'invalid-config');
        await rejectsWith(driver.remove(object, never), 'invalid-config');
      }
      const write = driver.write('job/b', cut(Buffer.from('x'), 1), { signal: never });
      await rejectsWith(write, 'invalid-config');
      assert.deepEqual(await readdir(join(server.folder, 'outside')), ['a']);
    });

    it('may lead to the storage itself', async () => {
      await folder('real');
      await symlink('real', join(server.folder, 'alias'));
      const driver = createSftpDestination(options({ root: `${server.root}/alias` }));
      await driver.probe(never);
      const pending = await driver.write('job/a', cut(Buffer.from('x'), 1), { signal: never });
      await pending.commit();
      assert.deepEqual(await list(`${server.root}/real`), ['job/a']);
    });
  });

  describe('signs in', () => {
    it('with an encrypted key', async () => {
      const { text, passphrase } = server.encryptedKey;
      await createSftpDestination(options({ privateKey: text, passphrase })).probe(never);
    });

    it('with an agent', async () => {
      const agent = await server.startAgent();
      try {
        await createSftpDestination(options({ auth: 'agent', agentSocket: agent.socket })).probe(never);
      } finally {
        await agent.stop();
      }
    });

    it('with a password, and shows it to nobody', async function () {
      if (process.getuid?.() !== 0) skipBecause(this, 'only root can check passwords');
      const asking = await startSshd({ passwords: 'password', chroot: true });
      try {
        const { host, port, user, password, root } = asking;
        const settings = { host, port, user, root, hostKeys: [asking.hostKeys.ed25519] };
        const driver = createSftpDestination({ ...settings, auth: 'password', password });
        await driver.probe(never);
        assert.ok(!driver.describe().includes(password));
        const wrong = 'not the password';
        const error = await rejectsWith(
          createSftpDestination({ ...settings, auth: 'password', password: wrong }).probe(never),
          'permission',
        );
        assert.match(error.message, /did not accept the password/);
        assert.ok(!`${error.message}${String(error.cause)}`.includes(wrong));
      } finally {
        await asking.stop();
      }
    });
  });

  it('shares one connection among all that it does', async () => {
    const busy = await startSshd();
    try {
      const driver = createSftpDestination({ ...busy.settings, root: busy.root });
      await Promise.all(
        Array.from({ length: 30 }, async (_, index) => {
          const pending = await driver.write(`job/${index}`, cut(noise(50_000), 9000), { signal: never });
          await pending.commit();
        }),
      );
      assert.equal((await busy.log()).match(/Accepted publickey/g)?.length, 1);
    } finally {
      await busy.stop();
    }
  });

  describe('on servers without the extensions of OpenSSH', () => {
    let bare: ProftpdSftp;

    before(async () => {
      bare = await ProftpdSftp.start([
        'SFTPExtensions -fsync -hardlink -posixRename -statvfs',
        // Its rename overwrites then.
        'AllowOverwrite on',
      ]);
    });

    after(async () => await bare.stop());

    it('stores, refuses to overwrite, and replaces', async () => {
      const driver = createSftpDestination({ ...bare.settings, root: '' });
      assert.equal(await driver.freeSpace?.(never), undefined);
      const content = noise(3_000_000);
      const options = { signal: never, expectedBytes: 10 * 1024 * GIB };
      const pending = await driver.write('job/a', cut(content, 70_000), options);
      const rival = await driver.write('job/a', cut(noise(1000), 100), { signal: never });
      await pending.commit();
      await rejectsWith(rival.commit(), 'already-exists');
      await rival.abort();
      assert.equal(sha256(await collect(await driver.read('job/a', { signal: never }))), sha256(content));
      const next = await driver.write('job/a', cut(noise(2000), 100), { signal: never, replace: true });
      await next.commit();
      assert.equal((await driver.stat('job/a', never))?.bytes, 2000);
      assert.equal(driver.properties.atomicReplace, false);
      assert.deepEqual((await readdir(bare.folder, { recursive: true })).sort(), ['job', 'job/a']);
    });

    it('lets one of several racing writers win', async () => {
      const driver = createSftpDestination({ ...bare.settings, root: '' });
      const pending = await Promise.all(
        Array.from({ length: 6 }, (_, index) =>
          driver.write('race/a', cut(noise(10_000, index + 1), 1000), { signal: never }),
        ),
      );
      const results = await Promise.allSettled(pending.map((each) => each.commit()));
      assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
      await Promise.all(pending.map((each) => each.abort()));
      assert.deepEqual(await readdir(join(bare.folder, 'race')), ['a']);
    });

    it('takes a rename whose answer got lost for what it is', async () => {
      const proxy = await TestProxy.start({ host: '127.0.0.1', port: bare.settings.port ?? 0 });
      try {
        const driver = createSftpDestination({ ...bare.settings, port: proxy.port, root: '' });
        for (const bytes of [1, 60, 120, 180, 240, 300, 400]) {
          const content = noise(5000, bytes);
          const pending = await driver.write(`lost/${bytes}`, cut(content, 1000), { signal: never });
          proxy.after(bytes, 'reset', 'server');
          const failure = await pending.commit().catch((error: unknown) => error);
          proxy.disarm();
          if (failure !== undefined) {
            assert.ok(failure instanceof BackupError && failure.transient, String(failure));
            await pending.abort();
          }
          const found = await driver.stat(`lost/${bytes}`, never);
          assert.equal(found?.bytes, failure === undefined ? content.length : undefined, `after ${bytes}`);
        }
        const left = (await readdir(bare.folder, { recursive: true })).filter((name) =>
          name.includes('partial'),
        );
        assert.deepEqual(left, []);
      } finally {
        await proxy.close();
      }
    });
  });

  describe('by URL', () => {
    const variables = [
      'DBACKUP_SFTP_PASSWORD',
      'DBACKUP_SFTP_PASSWORD_FILE',
      'DBACKUP_SFTP_KEY_FILE',
      'DBACKUP_SFTP_PASSPHRASE',
      'DBACKUP_SFTP_PASSPHRASE_FILE',
      'DBACKUP_SFTP_HOST_KEYS',
      'SSH_AUTH_SOCK',
    ];
    let saved: (string | undefined)[];

    beforeEach(() => {
      saved = variables.map((name) => process.env[name]);
      for (const name of variables) delete process.env[name];
    });

    afterEach(() => {
      for (const [index, name] of variables.entries()) {
        const value = saved[index];
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    });

    it('takes what proves both sides from the environment', async () => {
      const { user, port, root, hostKeys, key, encryptedKey } = server;
      const url = `sftp://${user}@127.0.0.1:${port}/${root}`;
      process.env.DBACKUP_SFTP_KEY_FILE = key.file;
      await rejectsWith(openStorage(url).probe(never), 'permission');
      process.env.DBACKUP_SFTP_HOST_KEYS = `SHA256:${'B'.repeat(43)}, ${hostKeys.ed25519}`;
      await openStorage(url).probe(never);
      process.env.DBACKUP_SFTP_KEY_FILE = encryptedKey.file;
      await rejectsWith(openStorage(url).probe(never), 'invalid-config');
      const secrets = await mkdtemp(join(tmpdir(), 'dbackup-sftp-'));
      try {
        await writeFile(join(secrets, 'passphrase'), `${encryptedKey.passphrase}\n`);
        process.env.DBACKUP_SFTP_PASSPHRASE_FILE = join(secrets, 'passphrase');
        await openStorage(url).probe(never);
      } finally {
        await rm(secrets, { recursive: true });
      }
    });

    it('takes the agent', async () => {
      const agent = await server.startAgent();
      try {
        process.env.SSH_AUTH_SOCK = agent.socket;
        process.env.DBACKUP_SFTP_HOST_KEYS = server.hostKeys.ed25519;
        // From the root of the server.
        await openStorage(`sftp://${server.user}@127.0.0.1:${server.port}/${server.folder}`).probe(never);
      } finally {
        await agent.stop();
      }
    });

    it('says where it is', () => {
      process.env.DBACKUP_SFTP_PASSWORD = 'secret';
      const cases: [string, string][] = [
        ['sftp://me@host', 'sftp://me@host:22'],
        ['sftp://me@host/a%20b/', 'sftp://me@host:22/a b'],
        ['sftp://me@host:2222//srv/backups/', 'sftp://me@host:2222//srv/backups'],
        ['sftp://me@[::1]:2222/x', 'sftp://me@[::1]:2222/x'],
        ['sftp://me@host//', 'sftp://me@host:22//'],
      ];
      for (const [url, described] of cases) assert.equal(openStorage(url).describe(), described);
    });

    it('says what is missing, and takes no password in the URL', () => {
      const cases: [string, RegExp][] = [
        ['sftp://host/folder', /names no user/],
        ['sftp://me@host/folder', /needs a way to sign in: set DBACKUP_SFTP_KEY_FILE/],
        ['sftp://me:secret@host/', /holds a password/],
        ['sftp://me@host/?password=secret', /holds \? or #/],
      ];
      for (const [url, message] of cases) {
        assert.throws(
          () => openStorage(url),
          (error) => {
            assert.ok(error instanceof BackupError && error.code === 'invalid-config');
            assert.match(error.message, message);
            return !error.message.includes('secret');
          },
        );
      }
    });
  });
});
