import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compareDatabases } from '../fixtures/sqlite-database.ts';
import { freePort } from '../support/free-port.ts';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { dbackup, type Finished } from '../support/runner-process.ts';
import { type StorageServers, startStorageServers } from '../support/storage-servers.ts';

const FLOWS = join(import.meta.dirname, '..', '..', 'flows');

/** A template, the storage in it that is not local, and how a person names the same storage by a URL. */
interface Case {
  readonly template: string;
  readonly storage: string;
  url(servers: StorageServers): string;
  urlSecrets(servers: StorageServers): NodeJS.ProcessEnv;
  readonly secret: string;
  readonly wrongSecret: RegExp;
  /** What a run ends with when this storage takes nothing: another one may have taken all. */
  readonly without: 1 | 5;
  readonly address: string;
  addressOf(port: number): string;
}

const CASES: readonly Case[] = [
  {
    template: '18-s3-nightly.json',
    storage: 'Bucket',
    url: ({ bucket }) => `s3://${bucket.name}/dbackup?endpoint=${bucket.endpoint}`,
    urlSecrets: ({ bucket }) => ({
      AWS_ACCESS_KEY_ID: bucket.keys.accessKeyId,
      AWS_SECRET_ACCESS_KEY: bucket.keys.secretAccessKey,
    }),
    secret: 'S3_SECRET_ACCESS_KEY',
    wrongSecret: /secret access key does not belong/,
    without: 5,
    address: 'S3_ENDPOINT',
    addressOf: (port) => `http://127.0.0.1:${port}`,
  },
  {
    template: '19-webdav-nextcloud.json',
    storage: 'Nextcloud',
    url: ({ nextcloud }) => `webdav://tester@127.0.0.1:${nextcloud.port}/remote.php/dav/files/tester/dbackup`,
    urlSecrets: ({ nextcloud }) => ({ DBACKUP_WEBDAV_PASSWORD: nextcloud.settings.password }),
    secret: 'NEXTCLOUD_APP_PASSWORD',
    wrongSecret: /user and password/,
    without: 1,
    address: 'NEXTCLOUD_URL',
    addressOf: (port) => `http://127.0.0.1:${port}`,
  },
  {
    template: '20-ftp.json',
    storage: 'FTP server',
    url: ({ ftp }) => `ftps://tester@127.0.0.1:${ftp.port}/dbackup`,
    urlSecrets: ({ ftp }) => ({
      DBACKUP_FTP_PASSWORD: ftp.settings.password,
      DBACKUP_FTP_CA_FILE: ftp.caFile,
    }),
    secret: 'FTP_PASSWORD',
    wrongSecret: /check user and password/,
    without: 5,
    address: 'FTP_PORT',
    addressOf: String,
  },
];

describe('dbackup with storages on servers', function () {
  this.timeout(240_000);
  let servers: StorageServers;
  let work: RunnerWorkspace;

  before(async () => {
    servers = await startStorageServers();
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

  /** The template with other settings of its storage. */
  function changed(template: string, type: string, settings: object): string {
    const flow = read(template).map((node) => (node.type === type ? { ...node, ...settings } : node));
    return work.write(`changed-${template}`, flow);
  }

  for (const each of CASES) {
    const { template, storage, secret, wrongSecret, without, address } = each;
    const flow = join(FLOWS, template);
    const named = ['--flow', flow, '--storage', storage];

    describe(template, () => {
      let set: string;

      before(async () => {
        const run = await call(['run', flow, '--quiet']);
        assert.equal(run.code, 0, run.stderr);
      });

      it('names the variable of a secret that is not set', async () => {
        const { code, stdout } = await call(['validate', flow], { [secret]: undefined });
        assert.equal(code, 2, stdout);
        assert.match(stdout, new RegExp(`needs the environment variable ${secret} or ${secret}_FILE`));
      });

      it('its sets are listed by the name of the storage, and the same by its URL', async () => {
        const byName = await call(['list', ...named, '--json']);
        assert.equal(byName.code, 0, byName.stderr);
        const { sets } = JSON.parse(byName.stdout) as { sets: { set: string }[] };
        assert.equal(sets.length, 1);
        set = sets[0]?.set ?? '';
        const byUrl = await call(
          ['list', '--storage', each.url(servers), '--json'],
          each.urlSecrets(servers),
        );
        assert.equal(byUrl.code, 0, byUrl.stderr);
        assert.deepEqual((JSON.parse(byUrl.stdout) as { sets: object[] }).sets, sets);
      });

      it('the newest set is verified, and restored with the keys of the flow', async () => {
        const verified = await call(['verify', ...named, 'latest']);
        assert.equal(verified.code, 0, verified.stderr);
        const to = join(work.root, `${storage.replace(' ', '-')}.sqlite`);
        const restored = await call(['restore', ...named, set, '--to', to]);
        assert.equal(restored.code, 0, restored.stderr);
        compareDatabases(work.database, to);
      });

      it('a wrong secret fails with what to do, and is not repeated', async () => {
        const wrong = { [secret]: 'this-is-not-it' };
        const run = await call(['run', flow], wrong);
        assert.equal(run.code, without, run.stderr);
        const said = run.stdout + run.stderr;
        assert.match(said, wrongSecret);
        assert.ok(!said.includes('this-is-not-it'));
      });

      it('a server that is not there fails with what to do', async () => {
        const hasty = changed(template, 'dbackup-s3-storage', { attempts: 2 });
        const { code, stderr } = await call(['list', '--flow', hasty, '--storage', storage], {
          [address]: each.addressOf(await freePort()),
        });
        assert.equal(code, 1);
        assert.match(stderr, /nothing listens|refused/i);
      });
    });
  }

  it('a missing bucket fails with what to do', async () => {
    const flow = join(FLOWS, '18-s3-nightly.json');
    const { code, stderr } = await call(['list', '--flow', flow, '--storage', 'Bucket'], {
      S3_BUCKET: 'no-such-bucket',
    });
    assert.equal(code, 1);
    assert.match(stderr, /has no bucket no-such-bucket: create it/);
  });

  it('a missing folder fails with what to do, unless it may be made', async () => {
    const flow = changed('20-ftp.json', 'dbackup-ftp-storage', { root: 'nowhere', create: false });
    const { code, stderr } = await call(['list', '--flow', flow, '--storage', 'FTP server']);
    assert.equal(code, 1);
    assert.match(stderr, /nowhere .*does not exist.*create it/);
  });

  it('validate lists what is wrong with each storage, and nothing is run', async () => {
    const wrong = [
      ...broken('18-s3-nightly.json', 'dbackup-s3-storage', {
        'no bucket': { bucket: '' },
        'no endpoint': { endpoint: '' },
        'no secret': { credentials: {} },
        'a key without KMS': { kmsKeyId: 'alias/backups' },
      }),
      ...broken('19-webdav-nextcloud.json', 'dbackup-webdav-storage', {
        'no address': { address: '' },
        'of another user': { folder: '../bob' },
      }),
      ...broken('20-ftp.json', 'dbackup-ftp-storage', {
        'no host': { host: '' },
        'no port': { port: 'ftp' },
      }),
    ];
    const flow = work.write('wrong.json', [...read('18-s3-nightly.json'), ...wrong]);
    const { code, stdout } = await call(['validate', flow]);
    assert.equal(code, 2, stdout);
    for (const problem of [
      /"no bucket" .*, bucket: is missing/,
      /"no endpoint" .*, endpoint: is missing/,
      /"no secret" .*: The secret access key is missing/,
      /"a key without KMS" .*: A KMS key is given, but server-side encryption is not aws:kms/,
      /"no address" .*, address: is missing/,
      /"of another user" .*, folder: does not have the form/,
      /"no host" .*, host: is missing/,
      /"no port" .*, port: must be a number/,
    ]) {
      assert.match(stdout, problem);
    }
    assert.match(stdout, /\b8 (problems|errors)/);
    assert.equal((await call(['run', flow])).code, 2);
  });
});

interface FlowNode {
  readonly id: string;
  readonly type: string;
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
