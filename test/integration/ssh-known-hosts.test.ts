import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createSftpDestination } from '../../lib/destinations/sftp/sftp.ts';
import { BackupError } from '../../lib/errors.ts';
import { type KnownHosts, knownHostsFile } from '../../lib/ssh/known-hosts.ts';
import { never, rejectsWith } from '../conformance/destination/fixture.ts';
import { startSshd, type TestKey, type TestSshd } from '../servers/sshd.ts';

const run = promisify(execFile);

describe('hosts whose first key is trusted', function () {
  this.timeout(60_000);
  let server: TestSshd;
  let folder: string;
  let file: string;
  let knownHosts: KnownHosts;

  before(async () => {
    server = await startSshd();
  });

  after(async () => await server.stop());

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dbackup-known-'));
    file = join(folder, 'data', 'known_hosts');
    knownHosts = knownHostsFile(file);
  });

  afterEach(async () => await rm(folder, { recursive: true, force: true }));

  const driver = (changes: object = {}) => {
    const options = { ...server.settings, root: server.root, hostKeys: [], trustFirst: true, ...changes };
    return createSftpDestination(options, knownHosts);
  };
  const keyOf = async ({ file: path }: TestKey) =>
    Buffer.from((await readFile(`${path}.pub`, 'utf8')).split(' ')[1] ?? '', 'base64');

  it('are remembered as OpenSSH does, for the next process', async () => {
    await driver().probe(never);
    const { stdout: listed } = await run('ssh-keygen', ['-lf', file]);
    assert.ok(listed.includes(server.hostKeys.ed25519), listed);
    await run('ssh-keygen', ['-F', `[127.0.0.1]:${server.port}`, '-f', file]);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    const text = await readFile(file, 'utf8');
    await driver().probe(never);
    assert.equal(await readFile(file, 'utf8'), text);
    const known = await knownHostsFile(file).fingerprintsOf('127.0.0.1', server.port);
    assert.deepEqual(known, [server.hostKeys.ed25519]);
  });

  it('are remembered once by several at the same time', async () => {
    await Promise.all(Array.from({ length: 4 }, () => driver().stat('a', never)));
    assert.equal((await readFile(file, 'utf8')).trim().split('\n').length, 1);
  });

  it('are refused with another key, until that is removed from the file', async () => {
    await knownHosts.remember('127.0.0.1', server.port, await keyOf(server.strangersKey));
    const error = await rejectsWith(driver().probe(never), 'permission');
    assert.match(error.message, /does not show the key that was remembered of it/);
    assert.ok(error.message.includes(file) && error.message.includes(server.hostKeys.ed25519));
    await run('ssh-keygen', ['-R', `[127.0.0.1]:${server.port}`, '-f', file]);
    await driver().probe(never);
  });

  it('are not trusted when the key cannot be remembered', async () => {
    await writeFile(join(folder, 'data'), '');
    await assert.rejects(driver().probe(never), BackupError);
  });

  it('are told nothing of us before they are remembered', async () => {
    const strict: KnownHosts = {
      ...knownHosts,
      remember: async () => {
        throw new BackupError('no-space', 'the disk is full');
      },
    };
    const signIns = async () => (await server.log()).match(/Accepted|Failed|Postponed/g)?.length ?? 0;
    const before = await signIns();
    const options = { ...server.settings, hostKeys: [], trustFirst: true };
    await rejectsWith(createSftpDestination(options, strict).probe(never), 'no-space');
    assert.equal(await signIns(), before);
  });

  it('are not looked up when their keys are set', async () => {
    await driver({ hostKeys: [server.hostKeys.rsa] }).probe(never);
    await assert.rejects(stat(file), { code: 'ENOENT' });
    await rejectsWith(driver({ hostKeys: [`SHA256:${'B'.repeat(43)}`] }).probe(never), 'permission');
  });

  it('need a place to be remembered', () => {
    const options = { ...server.settings, hostKeys: [], trustFirst: true };
    assert.throws(
      () => createSftpDestination(options),
      (error) => error instanceof BackupError && error.code === 'invalid-config',
    );
  });

  it('keeps two first keys of one host apart', async () => {
    await knownHosts.remember('Host.example', 22, await keyOf(server.key));
    await knownHosts.remember('host.example', 22, await keyOf(server.key));
    await rejectsWith(
      knownHosts.remember('host.example', 22, await keyOf(server.strangersKey)),
      'permission',
    );
    assert.deepEqual(await knownHosts.fingerprintsOf('host.example', 2222), []);
    assert.match(await readFile(file, 'utf8'), /^host\.example ssh-ed25519 \S+\n$/);
  });
});
