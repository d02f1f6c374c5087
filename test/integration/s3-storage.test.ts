import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { openStorage } from '../../lib/destinations/open.ts';
import type { S3OptionsInput } from '../../lib/destinations/s3/options.ts';
import { createS3Destination } from '../../lib/destinations/s3/s3.ts';
import { BackupError, type ErrorCode } from '../../lib/errors.ts';
import { policyOf } from '../../lib/retention/options.ts';
import { isPruned, prune } from '../../lib/retention/prune.ts';
import { startCeph, type TestCeph } from '../servers/ceph.ts';
import { KMS_KEY } from '../servers/ceph-configuration.ts';
import { TestProxy } from '../servers/proxy.ts';
import { collect, cut, noise, sha256 } from '../support/byte-streams.ts';
import { plantSet } from '../support/planted-sets.ts';
import { TestBucket } from '../support/s3-bucket.ts';
import { until } from '../support/until.ts';

const never = new AbortController().signal;
const GUIDE = join(import.meta.dirname, '..', '..', 'docs', 's3.md');

describe('S3 storage on a real server', function () {
  this.timeout(240_000);
  let ceph: TestCeph;
  let bucket: TestBucket;
  let runs = 0;

  before(async function () {
    this.timeout(600_000);
    ceph = await startCeph();
    bucket = await TestBucket.create(ceph.endpoint, ceph.keys);
  });
  after(async () => await ceph?.stop());

  /** Settings of a folder that is used by nothing else. */
  function fresh(change: Partial<S3OptionsInput> = {}): S3OptionsInput & { prefix: string } {
    runs += 1;
    return { ...bucket.settings(`run-${runs}`), prefix: `run-${runs}`, ...change } as S3OptionsInput & {
      prefix: string;
    };
  }

  describe('keys', () => {
    const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = process.env;
    let stopService: (() => Promise<void>) | undefined;

    afterEach(async () => {
      for (const name of Object.keys(process.env).filter((each) => each.startsWith('AWS_')))
        delete process.env[name];
      Object.assign(process.env, {
        ...(AWS_ACCESS_KEY_ID === undefined ? {} : { AWS_ACCESS_KEY_ID }),
        ...(AWS_SECRET_ACCESS_KEY === undefined ? {} : { AWS_SECRET_ACCESS_KEY }),
      });
      await stopService?.();
      stopService = undefined;
    });

    function withoutKeys(): DestinationDriver {
      const { accessKeyId, secretAccessKey, ...settings } = fresh();
      assert.ok(accessKeyId && secretAccessKey);
      return createS3Destination(settings);
    }

    it('come from the environment', async () => {
      process.env.AWS_ACCESS_KEY_ID = ceph.keys.accessKeyId;
      process.env.AWS_SECRET_ACCESS_KEY = ceph.keys.secretAccessKey;
      await withoutKeys().probe(never);
      const url = `s3://${bucket.name}/by%20url?provider=ceph&endpoint=${encodeURIComponent(ceph.endpoint)}`;
      await openStorage(url).probe(never);
    });

    it('come from the role of a container', async () => {
      const service = await credentialService(ceph.keys);
      stopService = service.stop;
      process.env.AWS_EC2_METADATA_DISABLED = 'true';
      process.env.AWS_CONTAINER_CREDENTIALS_FULL_URI = `${service.url}/container`;
      await withoutKeys().probe(never);
      assert.deepEqual(service.asked, ['/container']);
    });

    it('come from the role of a machine', async () => {
      const service = await credentialService(ceph.keys);
      stopService = service.stop;
      process.env.AWS_EC2_METADATA_SERVICE_ENDPOINT = service.url;
      await withoutKeys().probe(never);
      assert.ok(service.asked.includes('/latest/api/token'), 'a token was asked for first');
    });

    it('are asked for when there are none', async () => {
      process.env.AWS_EC2_METADATA_DISABLED = 'true';
      process.env.AWS_CONFIG_FILE = '/nonexistent';
      process.env.AWS_SHARED_CREDENTIALS_FILE = '/nonexistent';
      const error = await failureOf(withoutKeys().probe(never), 'permission');
      assert.match(error.message, /no keys are set, and none were found/);
    });
  });

  it('goes over TLS to a server whose authority is given', async () => {
    const settings = fresh({ endpoint: ceph.tlsEndpoint, caFile: ceph.caFile });
    const driver = createS3Destination(settings);
    const content = noise(11_000_000);
    await put(driver, 'job/a', content);
    assert.equal(sha256(await collect(await driver.read('job/a', { signal: never }))), sha256(content));
    await driver.probe(never);
    const error = await failureOf(
      createS3Destination({ ...settings, caFile: '/nonexistent/ca.pem' }).probe(never),
      'invalid-config',
    );
    assert.match(error.message, /CA file .* cannot be read/);
    await failureOf(
      createS3Destination({ ...settings, endpoint: ceph.tlsEndpoint.replace('https', 'http') }).probe(never),
    );
    const plain = await failureOf(
      createS3Destination({ ...settings, endpoint: ceph.endpoint.replace('http', 'https') }).probe(never),
      'invalid-config',
    );
    assert.match(plain.message, /does not speak TLS/);
  });

  it('has objects encrypted by the server', async () => {
    const settings = fresh({ encryption: 'aws:kms', kmsKeyId: KMS_KEY });
    const driver = createS3Destination(settings);
    for (const [path, content] of [
      ['small', noise(1000)],
      ['large', noise(12_000_000)],
    ] as const) {
      await put(driver, path, content);
      const stored = await bucket.client.headObject({
        Bucket: bucket.name,
        Key: `${settings.prefix}/${path}`,
      });
      assert.equal(stored.ServerSideEncryption, 'aws:kms');
      assert.equal(stored.SSEKMSKeyId, KMS_KEY);
      assert.equal(sha256(await collect(await driver.read(path, { signal: never }))), sha256(content));
    }
    const part = await collect(
      await driver.read('large', { signal: never, range: { start: 5_242_000, end: 5_243_000 } }),
    );
    assert.ok(part.equals(noise(12_000_000).subarray(5_242_000, 5_243_000)), 'a range across two parts');
  });

  it('does not pass for encrypted what is not, and says which setting a server does not take', async () => {
    const settings = fresh({ encryption: 'AES256' });
    const driver = createS3Destination(settings);
    for (const content of [noise(1000), noise(6_000_000)]) {
      const error = await failureOf(put(driver, 'a', content), 'invalid-config');
      assert.match(error.message, /without the server-side encryption AES256/);
    }
    assert.deepEqual(await bucket.traces(settings.prefix), []);
    const cold = createS3Destination(fresh({ storageClass: 'COLD' }));
    const error = await failureOf(put(cold, 'a', noise(200_000)), 'invalid-config');
    assert.match(error.message, /refused it: .*Does it offer the storage class COLD\?/);
  });

  it('leaves alone what others keep in the bucket', async () => {
    const settings = fresh();
    const driver = createS3Destination(settings);
    for (const key of ['marker/', '.hidden', 'a//b', 'job/'])
      await bucket.put(`${settings.prefix}/${key}`, Buffer.alloc(0));
    await bucket.put(`${settings.prefix}2/a`, Buffer.from('not ours'));
    await put(driver, 'job/a', Buffer.from('ours'));
    assert.deepEqual(await paths(driver), ['job/a']);

    await bucket.dieWriting(`${settings.prefix}2`, 'dead');
    await bucket.dieWriting(settings.prefix, 'job/dead');
    const inOneMinute = new Date(Date.now() + 60_000);
    assert.deepEqual(await driver.sweep(inOneMinute, never), ['job/dead']);
    assert.equal((await bucket.uploads(`${settings.prefix}2`)).length, 1, 'that of another folder stays');
  });

  it('does not sweep what is being written, and counts the age from the latest part', async () => {
    const settings = fresh();
    const driver = createS3Destination(settings);
    const other = createS3Destination(settings);
    const gate = Promise.withResolvers<void>();
    async function* slow(): AsyncGenerator<Buffer> {
      yield noise(6_000_000);
      yield noise(10);
      await gate.promise;
      yield noise(6_000_000);
    }
    const writing = driver.write('job/slow', slow(), { signal: never });
    writing.catch(() => undefined);
    await until(async () => await bucket.hasParts(settings.prefix, 'job/slow'), 120_000);
    assert.deepEqual(await other.sweep(new Date(Date.now() + 60_000), never), []);
    gate.resolve();
    await (await writing).commit();
    assert.deepEqual(await paths(driver), ['job/slow']);

    const { UploadId } = await bucket.client.createMultipartUpload({
      Bucket: bucket.name,
      Key: `${settings.prefix}/alive`,
    });
    const begun = Date.now();
    await until(() => Date.now() > begun + 2000, 120_000);
    const between = new Date(begun + 1000);
    await bucket.client.uploadPart({
      ...{ Bucket: bucket.name, Key: `${settings.prefix}/alive`, UploadId },
      ...{ PartNumber: 1, Body: Buffer.from('alive') },
    });
    assert.deepEqual(await driver.sweep(between, never), []);
    assert.deepEqual(await driver.sweep(new Date(Date.now() + 60_000), never), ['alive']);
  });

  it('reads a bucket that it may not write, and says what it may not', async () => {
    const settings = fresh();
    await put(createS3Destination(settings), 'job/a', Buffer.from('content'));
    await bucket.client.putBucketPolicy({
      Bucket: bucket.name,
      Policy: JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          {
            Effect: 'Allow',
            Principal: { AWS: ['arn:aws:iam:::user/reader'] },
            Action: ['s3:ListBucket', 's3:GetObject'],
            Resource: [`arn:aws:s3:::${bucket.name}`, `arn:aws:s3:::${bucket.name}/*`],
          },
        ],
      }),
    });
    const reader = createS3Destination({ ...settings, ...(await ceph.createUser('reader')) });
    assert.deepEqual(await paths(reader), ['job/a']);
    assert.equal((await collect(await reader.read('job/a', { signal: never }))).toString(), 'content');
    assert.equal(await reader.stat('job/none', never), undefined);
    for (const [work, missing] of [
      [() => reader.probe(never), /needs s3:PutObject/],
      [() => put(reader, 'job/b', Buffer.from('x')), /needs s3:PutObject/],
      [() => put(reader, 'job/b', noise(4_000_000)), /needs s3:PutObject/],
      [() => put(reader, 'job/b', noise(12_000_000)), /needs s3:PutObject/],
      [() => reader.remove('job/a', never), /needs s3:DeleteObject/],
      [() => reader.sweep(new Date(), never), /needs s3:ListBucketMultipartUploads/],
    ] as const) {
      assert.match((await failureOf(work(), 'permission')).message, missing);
    }
    assert.deepEqual(await bucket.traces(settings.prefix), ['job/a']);
  });

  it('needs no more than the policy in the documentation allows', async () => {
    const documented = /```json\n(\{\n {2}"Version"[\s\S]*?)```/.exec(readFileSync(GUIDE, 'utf8'))?.[1];
    assert.ok(documented, 'there is a policy');
    const policy = JSON.parse(documented.replaceAll('my-backups', bucket.name)) as { Statement: object[] };
    const Principal = { AWS: ['arn:aws:iam:::user/documented'] };
    const Statement = policy.Statement.map((statement) => ({ ...statement, Principal }));
    await bucket.client.putBucketPolicy({
      Bucket: bucket.name,
      Policy: JSON.stringify({ ...policy, Statement }),
    });
    const settings = { ...bucket.settings('dbackup'), ...(await ceph.createUser('documented')) };
    const driver = createS3Destination(settings);
    await driver.probe(never);
    await put(driver, 'job/small', noise(1000));
    await put(driver, 'job/large', noise(11_000_000));
    await put(driver, 'job/small', noise(2000), true);
    assert.equal((await driver.stat('job/large', never))?.bytes, 11_000_000);
    assert.equal(await driver.stat('job/none', never), undefined);
    await failureOf(driver.read('job/none', { signal: never }), 'not-found');
    assert.deepEqual(await paths(driver), ['job/large', 'job/small']);
    await bucket.dieWriting('dbackup', 'job/dead');
    assert.deepEqual(await driver.sweep(new Date(Date.now() + 60_000), never), ['job/dead']);
    await driver.remove('job/small', never);
    await failureOf(createS3Destination({ ...settings, prefix: 'elsewhere' }).probe(never), 'permission');
  });

  it('says that a quota is used up, and leaves nothing', async () => {
    const full = await TestBucket.create(ceph.endpoint, ceph.keys);
    const quota = ['--quota-scope=bucket', `--bucket=${full.name}`];
    await ceph.admin('quota', 'set', ...quota, '--max-size=8M');
    await ceph.admin('quota', 'enable', ...quota);
    const driver = createS3Destination(full.settings('jobs'));
    await put(driver, 'a', noise(4_000_000));
    const error = await failureOf(put(driver, 'b', noise(14_000_000)), 'no-space');
    assert.match(error.message, /full or its quota is used up: free space/);
    assert.deepEqual(await full.traces('jobs'), ['a']);
  });

  it('is at least three times as fast with parallel parts on a slow line, with the same memory', async function () {
    this.timeout(600_000);
    const proxy = await TestProxy.start(ceph);
    try {
      proxy.delayMs = 40;
      const endpoint = `http://127.0.0.1:${proxy.port}`;
      // A part that is sent and one that is filled, or eight small ones: 40 MiB.
      const oneByOne = createS3Destination(fresh({ endpoint, partMiB: 20, parallelParts: 1 }));
      const parallel = createS3Destination(fresh({ endpoint, partMiB: 5, parallelParts: 8 }));
      const content = noise(42_000_000);
      // The server makes its pools with the first upload, and the SDK is loaded.
      await put(createS3Destination(fresh()), 'job/first', noise(6_000_000));
      const ratios: number[] = [];
      // What else the machine does can spoil one comparison.
      while (ratios.length < 5 && !ratios.some((ratio) => ratio >= 3)) {
        const together = await rateOf(parallel, content);
        const alone = await rateOf(oneByOne, content.subarray(0, 21_000_000));
        ratios.push(together / alone);
      }
      assert.ok(
        (ratios.at(-1) ?? 0) >= 3,
        `${ratios.map((ratio) => ratio.toFixed(1)).join(', ')} times as fast`,
      );
    } finally {
      await proxy.close();
    }
  });

  it('removes what it lists from a bucket with versions', async () => {
    const versioned = await TestBucket.create(ceph.endpoint, ceph.keys);
    await versioned.client.putBucketVersioning({
      Bucket: versioned.name,
      VersioningConfiguration: { Status: 'Enabled' },
    });
    const driver = createS3Destination(versioned.settings('jobs'));
    await put(driver, 'a', Buffer.from('first'));
    await put(driver, 'a', Buffer.from('second'), true);
    await put(driver, 'b', Buffer.from('other'));
    await driver.remove('a', never);
    assert.deepEqual(await paths(driver), ['b']);
    assert.equal(await driver.stat('a', never), undefined);
    await failureOf(driver.read('a', { signal: never }), 'not-found');
    await put(driver, 'a', Buffer.from('third'));
    assert.equal((await collect(await driver.read('a', { signal: never }))).toString(), 'third');
    await driver.probe(never);
    assert.deepEqual(await paths(driver), ['a', 'b']);
  });

  it('locks objects for some days, and holds those that it is told to', async () => {
    const locked = await TestBucket.create(ceph.endpoint, ceph.keys, { objectLock: true });
    const driver = createS3Destination({
      ...locked.settings('jobs'),
      lockMode: 'compliance',
      lockDays: 3,
      legalHold: true,
    });
    for (const [path, content] of [
      ['small', noise(1000)],
      ['large', noise(6_000_000)],
    ] as const) {
      await put(driver, path, content);
      const object = { Bucket: locked.name, Key: `jobs/${path}` };
      const { Retention } = await locked.client.getObjectRetention(object);
      assert.equal(Retention?.Mode, 'COMPLIANCE');
      const days = ((Retention.RetainUntilDate?.getTime() ?? 0) - Date.now()) / 86_400_000;
      assert.ok(Math.abs(days - 3) < 0.01, `${days} days`);
      assert.equal((await locked.client.getObjectLegalHold(object)).LegalHold?.Status, 'ON');
      assert.deepEqual(await driver.lockOf?.(path, never), {});
      await driver.setLegalHold(path, false, never);
      assert.equal((await locked.client.getObjectLegalHold(object)).LegalHold?.Status, 'OFF');
      assert.deepEqual(await driver.lockOf?.(path, never), { until: Retention.RetainUntilDate });
      await driver.setLegalHold(path, true, never);
      assert.equal((await locked.client.getObjectLegalHold(object)).LegalHold?.Status, 'ON');
      const { VersionId } = await locked.client.headObject(object);
      await assert.rejects(
        locked.client.deleteObject({ ...object, VersionId }),
        /AccessDenied|Access Denied|UnknownError/,
      );
    }
    await driver.remove('small', never);
    assert.deepEqual(await paths(driver), ['large'], 'hidden, while its version stays');
    assert.equal(await driver.lockOf?.('small', never), undefined, 'there is no object any more');
    const { summary } = await driver.probe(never);
    assert.ok(summary.length > 0);
    assert.deepEqual(await paths(driver), ['large']);
    const { Versions = [] } = await locked.client.listObjectVersions({
      Bucket: locked.name,
      Prefix: 'jobs/dbackup-probe',
    });
    for (const { Key, VersionId } of Versions) {
      const { Retention } = await locked.client.getObjectRetention({ Bucket: locked.name, Key, VersionId });
      const seconds = ((Retention?.RetainUntilDate?.getTime() ?? 0) - Date.now()) / 1000;
      assert.ok(seconds < 300, 'what a test leaves is locked for some minutes only');
    }

    const unlocked = createS3Destination(fresh({ lockMode: 'governance' }));
    await failureOf(put(unlocked, 'a', Buffer.from('x')), 'invalid-config');
    const plain = createS3Destination(fresh());
    await put(plain, 'a', Buffer.from('x'));
    assert.equal(await plain.lockOf?.('a', never), undefined);
  });

  it('keeps sets that are locked when it is pruned, and removes the others', async () => {
    const locked = await TestBucket.create(ceph.endpoint, ceph.keys, { objectLock: true });
    const settings = locked.settings('jobs');
    const free = createS3Destination(settings);
    const locking = createS3Destination({ ...settings, lockMode: 'governance', lockDays: 2 });
    const paths: string[] = [];
    for (const [driver, days] of [
      [free, 1],
      [locking, 2],
      [free, 3],
    ] as const) {
      paths.push(await plantSet(driver, Date.now() - days * 86_400_000));
    }
    const policy = policyOf({ keepLast: 1, zone: 'UTC' });
    const pruning = { driver: free, prefix: '', job: 'shop', policy, signal: never };
    const dry = await prune({ ...pruning, remove: false });
    const real = await prune({ ...pruning, remove: true });
    assert.ok(isPruned(real));
    assert.deepEqual(real.sets, dry.sets);
    assert.match(real.sets[1]?.verdict ?? '', /^kept: locked until 20/);
    const { sets } = await listBackupSets(free, { prefix: '', signal: never });
    assert.deepEqual(
      sets.map(({ path }) => path),
      paths.slice(0, 2),
    );
    const { Versions = [] } = await locked.client.listObjectVersions({
      Bucket: locked.name,
      Prefix: `jobs/${paths[2]}`,
    });
    assert.ok(Versions.length > 0, 'hidden versions are left to the bucket');
  });
});

async function put(driver: DestinationDriver, path: string, content: Buffer, replace = false): Promise<void> {
  const pending = await driver.write(path, cut(content, 300_000), { signal: never, replace });
  try {
    await pending.commit();
  } catch (error) {
    await pending.abort();
    throw error;
  }
}

/** Bytes per ms. */
async function rateOf(driver: DestinationDriver, content: Buffer): Promise<number> {
  const started = performance.now();
  await put(driver, 'job/a', content, true);
  return content.length / (performance.now() - started);
}

async function paths(driver: DestinationDriver): Promise<string[]> {
  const found: string[] = [];
  for await (const { path } of driver.list('', never)) found.push(path);
  return found.sort();
}

async function failureOf(work: Promise<unknown>, code?: ErrorCode): Promise<BackupError> {
  const thrown = await work.then(
    () => assert.fail('it succeeded'),
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof BackupError, String(thrown));
  if (code !== undefined) assert.equal(thrown.code, code, thrown.message);
  return thrown;
}

/** What containers and machines of AWS ask for the keys of their role. */
async function credentialService({
  accessKeyId,
  secretAccessKey,
}: {
  accessKeyId: string;
  secretAccessKey: string;
}) {
  const asked: string[] = [];
  const keys = {
    Code: 'Success',
    Type: 'AWS-HMAC',
    LastUpdated: new Date().toISOString(),
    AccessKeyId: accessKeyId,
    SecretAccessKey: secretAccessKey,
    Token: '',
    Expiration: new Date(Date.now() + 3_600_000).toISOString(),
  };
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    asked.push(path);
    if (path === '/latest/api/token') response.end('token');
    else if (/\/security-credentials(-extended)?\/?$/.test(path)) response.end('backup-role');
    else response.end(JSON.stringify(keys));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return {
    url: `http://127.0.0.1:${address.port}`,
    asked,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
