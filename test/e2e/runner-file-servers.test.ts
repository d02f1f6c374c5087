import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compareDatabases } from '../fixtures/sqlite-database.ts';
import { type FileServers, skipWithoutFileServers, startFileServers } from '../support/file-servers.ts';
import { freePort } from '../support/free-port.ts';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { dbackup, type Finished } from '../support/runner-process.ts';

const FLOWS = join(import.meta.dirname, '..', '..', 'flows');
const WRONG = 'this-is-not-it';

/** A template, the storage in it that is not local, and how a person names the same storage by a URL. */
interface Case {
  readonly template: string;
  readonly storage: string;
  url(servers: FileServers): string;
  urlSecrets(servers: FileServers): NodeJS.ProcessEnv;
  /** The variable that says who we are, what is said without it, and what of a wrong one. */
  readonly proof: string;
  readonly missingProof: RegExp;
  wrongProof(servers: FileServers): string;
  readonly refused: RegExp;
  /** What a run ends with when this storage takes nothing: another one may have taken all. */
  readonly without: 1 | 5;
  readonly port: string;
}

const CASES: readonly Case[] = [
  {
    template: '21-sftp.json',
    storage: 'SSH server',
    url: ({ ssh }) => `sftp://${ssh.user}@127.0.0.1:${ssh.port}/${ssh.root}/sftp`,
    urlSecrets: ({ ssh }) => ({
      DBACKUP_SFTP_KEY_FILE: ssh.key.file,
      DBACKUP_SFTP_HOST_KEYS: ssh.hostKeys.ed25519,
    }),
    proof: 'SFTP_KEY_FILE',
    missingProof: /keyFile: .*SFTP_KEY_FILE/,
    wrongProof: ({ ssh }) => ssh.strangersKey.file,
    refused: /did not accept the key/,
    without: 1,
    port: 'SFTP_PORT',
  },
  {
    template: '22-smb.json',
    storage: 'Windows share',
    url: ({ samba }) => `smb://${samba.settings.user}@127.0.0.1:${samba.port}/store/dbackup`,
    urlSecrets: ({ samba }) => ({ DBACKUP_SMB_PASSWORD: samba.settings.password }),
    proof: 'SMB_PASSWORD',
    missingProof: /needs the environment variable SMB_PASSWORD or SMB_PASSWORD_FILE/,
    wrongProof: () => WRONG,
    refused: /user.*password/,
    without: 5,
    port: 'SMB_PORT',
  },
  {
    template: '23-rsync-incremental.json',
    storage: 'Host with rsync',
    url: ({ ssh }) => `rsync+ssh://${ssh.user}@127.0.0.1:${ssh.port}/${ssh.root}/rsync`,
    urlSecrets: ({ ssh }) => ({
      DBACKUP_RSYNC_KEY_FILE: ssh.key.file,
      DBACKUP_RSYNC_HOST_KEYS: ssh.hostKeys.ed25519,
    }),
    proof: 'RSYNC_KEY_FILE',
    missingProof: /keyFile: .*RSYNC_KEY_FILE/,
    wrongProof: ({ ssh }) => ssh.strangersKey.file,
    refused: /did not accept the key/,
    without: 5,
    port: 'RSYNC_PORT',
  },
];

describe('dbackup with storages on file servers', function () {
  this.timeout(240_000);
  let servers: FileServers;
  let work: RunnerWorkspace;

  before(async function () {
    skipWithoutFileServers(this);
    servers = await startFileServers();
    work = new RunnerWorkspace(300_000);
  });

  after(async () => {
    await servers?.stop();
    work?.remove();
  });

  const call = (args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<Finished> =>
    dbackup(args, {
      env: work.env({
        APP_DATABASE: work.database,
        BACKUP_DIR: work.first,
        ...servers.environment,
        ...more,
      }),
    });

  for (const each of CASES) {
    const { template, storage, proof, missingProof, wrongProof, refused, without, port } = each;
    const flow = join(FLOWS, template);
    const named = ['--flow', flow, '--storage', storage];

    describe(template, () => {
      let set: string;

      before(async () => {
        const run = await call(['run', flow, '--quiet']);
        assert.equal(run.code, 0, run.stderr);
      });

      it('names the variable that is not set', async () => {
        const { code, stdout } = await call(['validate', flow], { [proof]: undefined });
        assert.equal(code, 2, stdout);
        assert.match(stdout, missingProof);
      });

      it('its sets are listed by the name of the storage, and the same by its URL', async () => {
        const byName = await call(['list', ...named, '--json']);
        assert.equal(byName.code, 0, byName.stderr);
        const { sets } = JSON.parse(byName.stdout) as { sets: { set: string }[] };
        assert.equal(sets.length, 1);
        set = sets[0]?.set ?? '';
        const url = ['--storage', each.url(servers)];
        const byUrl = await call(['list', ...url, '--json'], each.urlSecrets(servers));
        assert.equal(byUrl.code, 0, byUrl.stderr);
        assert.deepEqual((JSON.parse(byUrl.stdout) as { sets: object[] }).sets, sets);
      });

      it('the newest set is verified, and restored', async () => {
        const verified = await call(['verify', ...named, 'latest']);
        assert.equal(verified.code, 0, verified.stderr);
        const to = join(work.root, `${storage.replace(' ', '-')}.sqlite`);
        const restored = await call(['restore', ...named, set, '--to', to]);
        assert.equal(restored.code, 0, restored.stderr);
        compareDatabases(work.database, to);
      });

      it('a wrong sign-in fails with what to do, and is not repeated', async () => {
        const run = await call(['run', flow], { [proof]: wrongProof(servers) });
        assert.equal(run.code, without, run.stderr);
        const said = run.stdout + run.stderr;
        assert.match(said, refused);
        assert.ok(!said.includes(WRONG));
      });

      it('a server that is not there fails with what to do', async () => {
        const { code, stderr } = await call(['list', ...named], { [port]: String(await freePort()) });
        assert.equal(code, 1);
        assert.match(stderr, /nothing listens|refused/i);
      });
    });
  }

  it('a host that shows another key gets nothing, and the run says which keys it showed', async () => {
    const { code, stdout, stderr } = await call(['run', join(FLOWS, '21-sftp.json')], {
      SFTP_HOST_KEY: `SHA256:${'B'.repeat(43)}`,
    });
    assert.equal(code, 1);
    const said = stdout + stderr;
    assert.match(said, /is not trusted/);
    assert.ok(said.includes(servers.ssh.hostKeys.ed25519), said);
  });

  it('a missing folder fails with what to do, unless it may be made', async () => {
    for (const [template, name, settings] of [
      ['21-sftp.json', 'SSH server', { create: false, root: `${servers.ssh.root}/nowhere` }],
      ['22-smb.json', 'Windows share', { create: false, root: 'nowhere' }],
      [
        '23-rsync-incremental.json',
        'Host with rsync',
        { create: false, root: `${servers.ssh.root}/nowhere` },
      ],
    ] as const) {
      const flow = work.write(
        template,
        read(template).map((node) => ({ ...node, ...(node.name === name ? settings : {}) })),
      );
      const { code, stderr } = await call(['list', '--flow', flow, '--storage', name]);
      assert.equal(code, 1);
      assert.match(stderr, /nowhere .*does not exist.*create it/, name);
    }
  });

  it('validate lists what is wrong with each storage, and nothing is run', async () => {
    const wrong = [
      ...broken('21-sftp.json', 'dbackup-sftp-storage', {
        'no host': { host: '' },
        'no key': { keyFile: '' },
        'no host key': { hostKeys: [''] },
        'no fingerprint': { hostKeys: ['MD5:aa:bb'] },
        'no password': { auth: 'password' },
      }),
      ...broken('22-smb.json', 'dbackup-smb-storage', {
        'no share': { share: '' },
        'no user': { user: '' },
        'odd protocol': { protocol: 'NT1' },
      }),
      ...broken('23-rsync-incremental.json', 'dbackup-rsync-storage', {
        'no module': { transport: 'daemon' },
        'no rsync host key': { hostKeys: [] },
        'another folder': { root: '../other' },
      }),
    ];
    const flow = work.write('wrong.json', [...read('21-sftp.json'), ...wrong]);
    const { code, stdout } = await call(['validate', flow]);
    assert.equal(code, 2, stdout);
    for (const problem of [
      /"no host" .*, host: is missing/,
      /"no key" .*, keyFile: is missing: give the private key, or the path of its file/,
      /"no host key" .*, hostKeys: is missing/,
      /"no fingerprint" .*, hostKeys: entry 1 does not have the form/,
      /"no password" .*, password: is missing/,
      /"no share" .*, share: is missing/,
      /"no user" .*there is a password, but no user/,
      /"odd protocol" .*, protocol: must be one of SMB3, SMB2/,
      /"no module" .*, module: is missing/,
      /"no rsync host key" .*, hostKeys: is missing/,
      /"another folder" .*, root: it holds \.\./,
    ]) {
      assert.match(stdout, problem);
    }
    assert.match(stdout, new RegExp(`\\b${wrong.length} (problems|errors)`));
    assert.equal((await call(['run', flow])).code, 2);
  });
});

interface FlowNode {
  readonly id: string;
  readonly type: string;
  readonly name?: string;
}

function read(template: string): FlowNode[] {
  return JSON.parse(readFileSync(join(FLOWS, template), 'utf8')) as FlowNode[];
}

/** Copies of the storage of a template, each with other settings and named after what is wrong with it. */
function broken(template: string, type: string, settings: Readonly<Record<string, object>>): object[] {
  const storage = read(template).find((node) => node.type === type);
  return Object.entries(settings).map(([name, change]) => ({
    ...storage,
    id: `wrong ${name}`,
    name,
    ...change,
  }));
}
