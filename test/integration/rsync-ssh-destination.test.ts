import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { openStorage } from '../../lib/destinations/open.ts';
import type { RsyncOptionsInput } from '../../lib/destinations/rsync/options.ts';
import { createRsyncDestination } from '../../lib/destinations/rsync/rsync.ts';
import { never, rejectsWith } from '../conformance/destination/fixture.ts';
import { entriesBelow, makeFolder, rsyncOverSsh } from '../conformance/rsync/storage.ts';
import { type SshdOptions, startSshd, type TestSshd } from '../servers/sshd.ts';
import { collect, cut, noise, sha256 } from '../support/byte-streams.ts';
import { skipBecause } from '../support/skip.ts';
import { until } from '../support/until.ts';

describe('rsync destination over SSH', function () {
  this.timeout(120_000);
  let sshd: TestSshd;

  before(async () => {
    sshd = await startSshd();
  });

  after(async () => await sshd.stop());

  const storage = (change: Record<string, unknown> = {}, on = sshd) => {
    const { settings, base } = rsyncOverSsh(on);
    return createRsyncDestination({
      ...settings,
      root: `${base}backups`,
      create: true,
      ...change,
    } as RsyncOptionsInput);
  };
  const roundTrip = async (driver: DestinationDriver) => {
    const content = noise(300_000);
    const pending = await driver.write('job/set/a', cut(content, 65_536), { signal: never });
    await pending.commit();
    assert.equal(sha256(await collect(await driver.read('job/set/a', { signal: never }))), sha256(content));
    await driver.remove('job/set/a', never);
  };

  it('signs in with an encrypted key, and with an agent', async () => {
    const { encryptedKey } = sshd;
    await roundTrip(storage({ privateKey: encryptedKey.text, passphrase: encryptedKey.passphrase }));
    await roundTrip(storage({ privateKey: undefined, keyFile: sshd.key.file }));
    const agent = await sshd.startAgent();
    try {
      await roundTrip(storage({ transport: 'ssh-agent', agentSocket: agent.socket }));
    } finally {
      await agent.stop();
    }
    const wrong = storage({ privateKey: encryptedKey.text, passphrase: 'wrong' });
    await rejectsWith(wrong.probe(never), 'invalid-config');
  });

  it('signs in with a password', async function () {
    if (process.getuid?.() !== 0) skipBecause(this, 'only root can check passwords');
    await withSshd({ passwords: 'password' }, async (other) => {
      await roundTrip(storage({ transport: 'ssh-password', password: other.password }, other));
      const wrong = storage({ transport: 'ssh-password', password: 'wrong' }, other);
      const error = await rejectsWith(wrong.probe(never), 'permission');
      assert.match(error.message, /did not accept the password/);
    });
  });

  it('stores below the login folder, and from the root of the host', async () => {
    const below = `${rsyncOverSsh(sshd).base}below`;
    await roundTrip(storage({ root: below }));
    await roundTrip(storage({ root: join(sshd.folder, 'absolute') }));
    assert.deepEqual(
      (await entriesBelow(sshd.folder)).filter((path) => /^(below|absolute)/.test(path)).sort(),
      ['absolute/', 'below/'],
    );
  });

  it('takes folders whose names mean something to a shell', async () => {
    const root = `${rsyncOverSsh(sshd).base}it's "my" $HOME; echo ~ & (x) | <y> #1`;
    await roundTrip(storage({ root }));
  });

  it('needs nothing but rsync there: rrsync lets nothing else through', async () => {
    await withSshd({ config: ['ForceCommand rrsync "$HOME"'] }, async (other) => {
      const { root } = other;
      const driver = storage({ root: `/${root}` }, other);
      await roundTrip(driver);
      const content = noise(400_000, 3);
      const store = async (set: string, bytes: Buffer) => {
        const pending = await driver.write(`job/${set}/a.sql`, cut(bytes, 65_536), { signal: never });
        await pending.commit();
      };
      await store('one', content);
      await store('two', Buffer.concat([Buffer.from('x'), content]));
      assert.deepEqual(
        (await entriesBelow(other.folder)).filter((path) => path.endsWith('.sql')),
        ['job/one/a.sql', 'job/two/a.sql'],
      );
    });
  });

  it('says so when rsync is missing on the host', async () => {
    await withSshd(
      { config: ['ForceCommand PATH=/nowhere; eval "$SSH_ORIGINAL_COMMAND"'] },
      async (other) => {
        const error = await rejectsWith(storage({}, other).probe(never), 'unavailable');
        assert.match(error.message, /rsync: not found.*install the package rsync on the host/);
        assert.ok(!error.transient);
      },
    );
  });

  it('says so when the shell of the host says more than rsync does', async () => {
    await withSshd(
      { config: ['ForceCommand echo Welcome to our host; eval "$SSH_ORIGINAL_COMMAND"'] },
      async (other) => {
        const error = await rejectsWith(storage({}, other).probe(never), 'invalid-config', 'unavailable');
        assert.match(error.message, /is your shell clean.*write nothing by itself/);
      },
    );
  });

  it('says so when the account may not run commands', async () => {
    await withSshd({ config: ['ForceCommand echo no shell for you >&2; exit 1'] }, async (other) => {
      const error = await rejectsWith(storage({}, other).probe(never), 'unavailable');
      assert.match(error.message, /no shell for you/);
    });
  });

  it('keeps one connection for a while, then none', async () => {
    const driver = storage();
    await Promise.all(
      Array.from({ length: 6 }, async (_, index) => {
        const pending = await driver.write(`many/${index}`, cut(noise(50_000, index), 9999), {
          signal: never,
        });
        await pending.commit();
      }),
    );
    await until(() => sshd.sessions().length === 0, 60_000);
    assert.equal((await driver.stat('many/3', never))?.bytes, 50_000);
  });

  it('replaces a connection that died while it was idle', async () => {
    const driver = storage();
    await roundTrip(driver);
    sshd.killSessions();
    await until(() => sshd.sessions().length === 0, 30_000);
    await roundTrip(driver);
  });

  it('opens by URL with what the environment holds', async () => {
    const variables = {
      DBACKUP_RSYNC_KEY_FILE: sshd.key.file,
      DBACKUP_RSYNC_HOST_KEYS: `SHA256:${'A'.repeat(43)}, ${sshd.hostKeys.ed25519}`,
    };
    Object.assign(process.env, variables);
    try {
      await makeFolder(rsyncOverSsh(sshd), join(sshd.folder, 'by url'));
      await writeFile(join(sshd.folder, 'by url', 'a'), 'content');
      const path = `${sshd.folder.slice(1)}/by url`;
      const opened = openStorage(encodeURI(`rsync+ssh://${sshd.user}@127.0.0.1:${sshd.port}//${path}`));
      assert.equal(opened.describe(), `rsync+ssh://${sshd.user}@127.0.0.1:${sshd.port}//${path}`);
      assert.equal((await opened.stat('a', never))?.bytes, 7);
    } finally {
      for (const name of Object.keys(variables)) delete process.env[name];
      await rm(join(sshd.folder, 'by url'), { recursive: true, force: true });
    }
  });
});

async function withSshd(options: SshdOptions, work: (sshd: TestSshd) => Promise<void>): Promise<void> {
  const sshd = await startSshd(options);
  try {
    await work(sshd);
  } finally {
    await sshd.stop();
  }
}
