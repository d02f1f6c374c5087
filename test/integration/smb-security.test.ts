import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStorage } from '../../lib/destinations/open.ts';
import type { SmbOptionsInput } from '../../lib/destinations/smb/options.ts';
import { createSmbDestination } from '../../lib/destinations/smb/smb.ts';
import { ownerTag } from '../../lib/process-owner.ts';
import { hangingStream, never, rejectsWith } from '../conformance/destination/fixture.ts';
import { TestSamba } from '../servers/samba.ts';
import { noise } from '../support/byte-streams.ts';
import { childProcesses } from '../support/child-processes.ts';
import { killedStorageWriter } from '../support/killed-storage-writer.ts';
import { until } from '../support/until.ts';

const WAIT_MS = 60_000;

describe('smb: who may do what, and who can read it', function () {
  this.timeout(240_000);
  let server: TestSamba;

  before(async function () {
    server = await TestSamba.startOrSkip(this, { config: ['map to guest = bad user'] });
  });

  after(async () => await server?.stop());

  const works = async (options: Partial<SmbOptionsInput>, by = server) => {
    const { summary } = await createSmbDestination({ ...by.settings, ...options }).probe(never);
    assert.match(summary, /Wrote, read, listed and deleted/);
  };
  const refuses = async (options: Partial<SmbOptionsInput>, by = server) =>
    await createSmbDestination({ ...by.settings, ...options })
      .probe(never)
      .then(
        () => assert.fail('it was let in'),
        (error: unknown) => error as Error & { code: string },
      );

  it('keeps the password out of command lines and environments, and its file no longer than it is read', async () => {
    const driver = createSmbDestination(server.settings);
    const { stream, reached } = hangingStream(noise(3_000_000));
    const cancel = new AbortController();
    const writing = driver.write('a', stream, { signal: cancel.signal });
    writing.catch(() => undefined);
    await reached;
    const clients: string[] = [];
    for (const pid of childProcesses()) {
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8');
      if (!command.includes('smbclient')) continue;
      clients.push(command);
      for (const text of [command, await readFile(`/proc/${pid}/environ`, 'utf8')])
        assert.ok(!text.includes(server.settings.password));
    }
    assert.ok(
      clients.some((command) => command.includes('put -')),
      'the upload is under way',
    );
    assert.deepEqual(await ownFolders(), []);
    cancel.abort();
    await rejectsWith(writing, 'aborted');
    assert.deepEqual(await ownFolders(), []);
  });

  it('lets only this user read the file with the password', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dbackup-fake-client-'));
    const kept = join(folder, 'kept');
    try {
      // A client that tells what it was given, and hangs.
      const script = `#!/bin/sh\n[ "$1" = --version ] && echo 'Version 4.17.12' && exit\necho "$@" >${kept}.new && mv ${kept}.new ${kept}\nexec sleep 600\n`;
      await writeFile(join(folder, 'smbclient'), script, { mode: 0o755 });
      const cancel = new AbortController();
      const driver = createSmbDestination({ ...server.settings, clientFolder: folder });
      const asking = driver.stat('a', cancel.signal);
      asking.catch(() => undefined);
      await until(() => existsSync(kept), WAIT_MS);
      const file = /--authentication-file=(\S+)/.exec(await readFile(kept, 'utf8'))?.[1] ?? '';
      assert.equal((await stat(file)).mode & 0o777, 0o600);
      assert.equal((await stat(join(file, '..'))).mode & 0o777, 0o700);
      assert.ok((await readFile(file, 'utf8')).includes(server.settings.password));
      cancel.abort();
      await rejectsWith(asking, 'aborted');
      await until(async () => (await ownFolders()).length === 0, WAIT_MS);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('removes what a process left that was killed', async () => {
    const tag = ownerTag().replace(`-${process.pid}-`, '-999999999-');
    const dead = join(tmpdir(), `dbackup-smb-${tag}-0123456789abcdef`);
    await mkdir(dead);
    await writeFile(join(dead, 'account'), 'password = x');
    const recipe = {
      module: new URL('../../lib/destinations/smb/smb.ts', import.meta.url).href,
      create: 'createSmbDestination',
      options: server.settings,
    };
    await killedStorageWriter(recipe, 'job/a');
    assert.ok(!existsSync(dead), 'it was swept by the next process');
    await createSmbDestination(server.settings).sweep(new Date(Date.now() + 60_000), never);
    assert.deepEqual(await readdir(server.share), []);
  });

  it('says so when the account is disabled', async () => {
    await server.changeUser('-d');
    try {
      const error = await refuses({});
      assert.equal(error.code, 'permission');
      assert.match(error.message, /the account is disabled: enable it/);
    } finally {
      await server.changeUser('-e');
    }
    await works({});
  });

  it('comes in as a guest only without a user, and tells when a user was taken for one', async () => {
    const { password: _, ...guest } = { ...server.settings, user: '' };
    await createSmbDestination({ ...guest, share: 'guests' }).probe(never);
    const refused = await rejectsWith(createSmbDestination(guest).probe(never), 'permission');
    assert.match(refused.message, /ACCESS_DENIED/);
    const taken = await refuses({ user: 'stranger', share: 'guests' });
    assert.equal(taken.code, 'permission');
    assert.match(taken.message, /signature of the server is wrong; servers sign nothing for guests/);
    assert.throws(
      () => createSmbDestination({ ...guest, password: 'x' }),
      /there is a password, but no user/,
    );
  });

  it('writes to shares that take encrypted connections only, whatever is set', async () => {
    for (const encryption of ['required', 'desired', 'off'] as const)
      await works({ share: 'encrypted', encryption });
    await works({ signing: 'server' });
  });

  it('refuses servers that do not encrypt, or speak no SMB 3, unless that is allowed', async () => {
    const open = await TestSamba.start({ config: ['server smb encrypt = off'] });
    try {
      const error = await refuses({ encryption: 'required' }, open);
      assert.equal(error.code, 'invalid-config');
      assert.match(error.message, /doesn't support SMB3 encryption.*enable encryption/);
      await works({ encryption: 'desired' }, open);
    } finally {
      await open.stop();
    }
    const old = await TestSamba.start({ config: ['server max protocol = SMB2_10'] });
    try {
      const error = await refuses({}, old);
      assert.equal(error.code, 'invalid-config');
      assert.match(error.message, /no protocol that is allowed: enable SMB 3 there, or allow SMB 2 here/);
      await works({ protocol: 'SMB2' }, old);
      assert.equal((await refuses({ protocol: 'SMB2', encryption: 'required' }, old)).code, 'invalid-config');
    } finally {
      await old.stop();
    }
  });

  it('creates the folder of the storage only when it may', async () => {
    const options = { ...server.settings, root: 'new/deep folder' };
    await rejectsWith(createSmbDestination(options).probe(never), 'not-found');
    const driver = createSmbDestination({ ...options, create: true });
    assert.equal(await driver.stat('a', never), undefined);
    assert.ok(((await driver.freeSpace?.(never)) ?? 0) > 0);
    await driver.probe(never);
    assert.deepEqual((await readdir(server.share, { recursive: true })).sort(), ['new', 'new/deep folder']);
    await rm(join(server.share, 'new'), { recursive: true });
  });

  it('opens a share by URL, with the password from the environment', async () => {
    const { user, password, port } = server.settings;
    process.env.DBACKUP_SMB_PASSWORD = password;
    try {
      for (const account of [user, `DBACKUPTEST;${user}`]) {
        const driver = openStorage(`smb://${account}@127.0.0.1:${port}/store`);
        assert.equal(driver.describe(), `smb://127.0.0.1:${port}/store`);
        await driver.probe(never);
      }
      assert.throws(
        () => openStorage(`smb://${user}:${'x'}@host/store`),
        /remove it there.*DBACKUP_SMB_PASSWORD/,
      );
      assert.throws(() => openStorage('smb://host'), /names no share/);
      const guest = openStorage(`smb://127.0.0.1:${port}/guests`);
      await guest.probe(never);
    } finally {
      delete process.env.DBACKUP_SMB_PASSWORD;
    }
  });
});

/** The folders with settings of smbclient that this process has now. */
async function ownFolders(): Promise<string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith(`dbackup-smb-${ownerTag()}-`));
}
