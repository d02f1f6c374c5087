import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startCeph, type TestCeph } from '../servers/ceph.ts';
import { startPostgres, type TestPostgres } from '../servers/postgres.ts';
import { type NotifierServers, startNotifierServers } from '../support/notifier-servers.ts';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { dbackup, type Finished } from '../support/runner-process.ts';
import { TestBucket } from '../support/s3-bucket.ts';
import { s3Variables } from '../support/storage-servers.ts';

const FLOW = join(import.meta.dirname, '..', '..', 'flows', '29-production.json');

describe('the flow for production, in the runner as it is', function () {
  this.timeout(600_000);
  let postgres: TestPostgres;
  let ceph: TestCeph;
  let bucket: TestBucket;
  let people: NotifierServers;
  let work: RunnerWorkspace;

  before(async () => {
    [postgres, ceph, people] = await Promise.all([startPostgres(), startCeph(), startNotifierServers()]);
    bucket = await TestBucket.create(ceph.endpoint, ceph.keys);
    await postgres.query('CREATE DATABASE shop');
    await postgres.query('CREATE TABLE item AS SELECT n AS id FROM generate_series(1, 5000) n', 'shop');
    work = new RunnerWorkspace(100_000);
  });

  after(async () => {
    work?.remove();
    await Promise.all([postgres?.stop(), ceph?.stop(), people?.stop()]);
  });

  function env(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
    const { host, port, user } = postgres.settings;
    return work.env({
      ...s3Variables(bucket),
      ...people.environment,
      POSTGRES_HOST: host,
      POSTGRES_PORT: String(port),
      POSTGRES_USER: user,
      POSTGRES_PASSWORD: postgres.password,
      BACKUP_DIR: work.first,
      ...more,
    });
  }

  const nightly = (more: NodeJS.ProcessEnv = {}): Promise<Finished> =>
    dbackup(['run', FLOW, '--trigger', 'Every night at 02:30', '--json', '--attempts', '1'], {
      env: env(more),
    });

  const sets = () => readdirSync(join(work.first, 'postgres')).filter((name) => /^\d{8}T/.test(name));
  const subjects = () => people.smtp.letters.map(({ raw }) => /^Subject: (.*)$/m.exec(raw)?.[1]?.trim());
  const pings = () =>
    people.requests('/ping/').map(({ path }) => path.split('?')[0]?.split('/')[3] ?? 'success');

  it('is valid as soon as its variables are set', async () => {
    const { code, stdout, stderr } = await dbackup(['validate', FLOW], { env: env() });
    assert.equal(code, 0, stdout + stderr);
  });

  it('stores every database in both places, tells the service outside, and no person', async () => {
    const { code, stdout, stderr } = await nightly();
    assert.equal(code, 0, stdout + stderr);
    assert.equal(sets().length, 1);
    const { Contents = [] } = await bucket.client.listObjectsV2({ Bucket: bucket.name });
    assert.ok(Contents.some(({ Key }) => Key?.endsWith('manifest.json')));
    assert.deepEqual(pings(), ['start', 'success']);
    assert.deepEqual(subjects(), []);
  });

  it('tells people when it fails, and once more when it is well again', async () => {
    const broken = await nightly({ POSTGRES_PORT: '1' });
    assert.equal(broken.code, 1, broken.stdout + broken.stderr);
    assert.equal(subjects().length, 1, subjects().join('\n'));
    assert.match(subjects()[0] ?? '', /failed/i);
    assert.ok(pings().includes('fail'), pings().join());
    assert.equal(sets().length, 1, 'what was good stays');

    const mended = await nightly();
    assert.equal(mended.code, 0, mended.stdout + mended.stderr);
    assert.equal(subjects().length, 2, subjects().join('\n'));
    assert.match(subjects()[1] ?? '', /works? again/);
    assert.equal(sets().length, 2);
  });

  it('restores the oldest untested set for a test, and leaves nothing behind', async () => {
    const { code, stdout, stderr } = await dbackup(
      ['run', FLOW, '--trigger', 'Every Sunday at 05:00', '--json'],
      { env: env() },
    );
    assert.equal(code, 0, stdout + stderr);
    const oldest = sets().toSorted()[0] ?? '';
    const annotations = readFileSync(join(work.first, 'postgres', oldest, 'annotations.json'), 'utf8');
    assert.match(annotations, /"level": ?"restore",\s*"ok": ?true/);
    const left = await postgres.query<{ datname: string }>(
      "SELECT datname FROM pg_database WHERE datname LIKE 'dbackup_verify%'",
    );
    assert.deepEqual(left, []);
  });

  it('keeps what the policy says, and says why', async () => {
    const { code, stdout, stderr } = await dbackup(
      ['prune', '--flow', FLOW, '--policy', 'Two weeks', '--storage', 'Disk', '--job', 'postgres'],
      { env: env() },
    );
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /^keep .*newest good set/m);
    assert.match(stdout, /2 kept, 0 would be removed/);
    assert.equal(sets().length, 2, 'a dry run');
  });
});
