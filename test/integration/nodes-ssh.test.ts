import assert from 'node:assert/strict';
import { connectSsh } from '../../lib/ssh/connection.ts';
import type { SshOptions } from '../../lib/ssh/options.ts';
import { UNKNOWN_HOST_KEY } from '../../nodes/config/host-keys.ts';
import { testSsh } from '../../nodes/config/test-ssh.ts';
import { startSshd, type TestSshd } from '../servers/sshd.ts';
import { until } from '../support/until.ts';

describe('Test connection of an SSH host', function () {
  this.timeout(240_000);
  let ssh: TestSshd;

  before(async () => {
    ssh = await startSshd();
  });

  after(() => ssh?.stop());

  const test = (options: SshOptions) => {
    const { signal } = new AbortController();
    return testSsh(options, () => connectSsh(options, signal));
  };

  it('says that it is the right host and lets us in', async () => {
    const { level, text, values } = await test(ssh.settings);
    assert.deepEqual([level, text, values], ['ok', 'test.ok', { host: ssh.host, user: ssh.user }]);
    // Nothing is left open: the server ends its process as soon as it sees that.
    await until(() => ssh.sessions().length === 0, 120_000);
  });

  it('shows the keys of a host that is not known yet, to be compared and chosen', async () => {
    const { level, text, rows = [] } = await test({ ...ssh.settings, hostKeys: [UNKNOWN_HOST_KEY] });
    assert.deepEqual([level, text], ['warning', 'test.unknown']);
    const found = rows.map(({ entry, detail }) => [entry, detail]);
    assert.deepEqual(
      found.filter(([, type]) => type === 'ssh-ed25519' || type === 'ssh-rsa').sort(),
      [
        [ssh.hostKeys.ed25519, 'ssh-ed25519'],
        [ssh.hostKeys.rsa, 'ssh-rsa'],
      ].sort(),
    );
  });

  it('warns of a host that shows another key than the trusted one', async () => {
    const hostKeys = [`SHA256:${'B'.repeat(43)}`];
    const { level, text, rows = [] } = await test({ ...ssh.settings, hostKeys });
    assert.deepEqual([level, text], ['warning', 'test.other']);
    assert.ok(rows.some(({ entry }) => entry === ssh.hostKeys.ed25519));
  });

  it('says why the host does not let us in', async () => {
    const stranger = { ...ssh.settings, privateKey: ssh.strangersKey.text };
    await assert.rejects(test(stranger), { code: 'permission', message: /did not accept the key/ });
  });
});
