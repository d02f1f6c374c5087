import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UNKNOWN_HOST_KEY } from '../../nodes/config/host-keys.ts';
import { sftpStorageNode } from '../../nodes/config/sftp-storage.ts';
import { startSshd, type TestSshd } from '../servers/sshd.ts';
import { askForm } from '../support/ask-form.ts';

describe('Test connection of an SFTP storage', function () {
  this.timeout(60_000);
  let ssh: TestSshd;
  let dataDir: string;

  before(async () => {
    ssh = await startSshd(process.getuid?.() === 0 ? { passwords: 'password' } : {});
    dataDir = await mkdtemp(join(tmpdir(), 'dbackup-sftp-node-'));
  });

  after(async () => {
    await ssh?.stop();
    if (dataDir !== undefined) await rm(dataDir, { recursive: true, force: true });
  });

  const ask = (settings: Record<string, unknown>) =>
    askForm(
      sftpStorageNode,
      {
        ...ssh.settings,
        trustFirst: false,
        root: `${ssh.root}/backups`,
        create: true,
        reserveMiB: 0,
        ...settings,
      },
      dataDir,
    );

  it('stores something there, and says so', async () => {
    const { level, text, values } = await ask({});
    assert.deepEqual([level, text], ['ok', 'test.ok']);
    assert.match(String(values?.summary), /^Wrote, read, listed and deleted/);
    assert.deepEqual(await readdir(join(ssh.folder, 'backups')), [], 'nothing is left there');
  });

  it('shows the keys of a server while none is chosen, and tells it nothing', async () => {
    const { level, text, values, rows = [] } = await ask({ hostKeys: [] });
    assert.deepEqual([level, text, values], ['warning', 'test.unknown', { host: ssh.host }]);
    const found = rows.map(({ entry, detail }) => [entry, detail]);
    for (const key of [
      [ssh.hostKeys.ed25519, 'ssh-ed25519'],
      [ssh.hostKeys.rsa, 'ssh-rsa'],
    ]) {
      assert.ok(
        found.some((shown) => shown.join() === key.join()),
        JSON.stringify(found),
      );
    }
    assert.ok(!found.flat().includes(UNKNOWN_HOST_KEY));
  });

  it('warns of a server that shows other keys than the chosen one', async () => {
    const { level, text, rows = [] } = await ask({ hostKeys: [`SHA256:${'B'.repeat(43)}`] });
    assert.deepEqual([level, text], ['warning', 'test.other']);
    assert.ok(rows.some(({ entry }) => entry === ssh.hostKeys.ed25519));
  });

  it('trusts the first key where that was chosen, and remembers it in the data directory', async () => {
    const known = join(dataDir, 'known_hosts');
    await assert.rejects(readFile(known), { code: 'ENOENT' });
    assert.equal((await ask({ hostKeys: [], trustFirst: true })).level, 'ok');
    assert.match(
      await readFile(known, 'utf8'),
      new RegExp(`^\\[127\\.0\\.0\\.1\\]:${ssh.port} ssh-ed25519 `),
    );
    assert.equal((await ask({ hostKeys: [], trustFirst: true })).level, 'ok');
  });

  it('says why the server does not let us in', async () => {
    await assert.rejects(ask({ privateKey: ssh.strangersKey.text }), {
      code: 'permission',
      message: /did not accept the key/,
    });
    await assert.rejects(ask({ privateKey: '', keyFile: '' }), { message: /keyFile is missing/ });
  });

  it('says which folder is missing', async () => {
    await assert.rejects(ask({ root: `${ssh.root}/not-there`, create: false }), { message: /not-there/ });
  });
});
