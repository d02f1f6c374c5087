import assert from 'node:assert/strict';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import type { S3OptionsInput } from '../../lib/destinations/s3/options.ts';
import { createS3Destination, type S3Destination } from '../../lib/destinations/s3/s3.ts';
import { BackupError, type ErrorCode } from '../../lib/errors.ts';
import { noise } from '../support/byte-streams.ts';
import {
  type S3Answer,
  type S3Request,
  type ScriptedS3,
  s3Error,
  startScriptedS3,
} from '../support/scripted-s3.ts';

const SECRET = 'secret-of-the-test-key';
const never = new AbortController().signal;
const HTML = '<!DOCTYPE html><html><body>Sign in to the guest network</body></html>';

describe('S3 answers', () => {
  let server: ScriptedS3 | undefined;

  async function open(
    answer: (request: S3Request) => S3Answer,
    settings: Partial<S3OptionsInput> = {},
  ): Promise<S3Destination> {
    server = await startScriptedS3(answer);
    return createS3Destination({
      provider: 'other',
      endpoint: server.endpoint,
      bucket: 'backups',
      prefix: 'jobs',
      accessKeyId: 'AKIATEST',
      secretAccessKey: SECRET,
      addressing: 'path',
      attempts: 3,
      partMiB: 5,
      ...settings,
    });
  }

  afterEach(async () => {
    await server?.close();
    server = undefined;
  });

  describe('that are errors', () => {
    const CASES: [string, number, ErrorCode, boolean, RegExp, string?][] = [
      ['AccessDenied', 403, 'permission', false, /needs s3:ListBucket/],
      ['InvalidAccessKeyId', 403, 'permission', false, /does not know this access key ID/],
      ['SignatureDoesNotMatch', 403, 'permission', false, /secret access key does not belong/],
      ['ExpiredToken', 400, 'permission', false, /session token has expired/],
      ['NoSuchBucket', 404, 'not-found', false, /has no bucket backups: create it/],
      ['PermanentRedirect', 301, 'invalid-config', false, /in another region: correct the region/],
      [
        'AuthorizationHeaderMalformed',
        400,
        'invalid-config',
        false,
        /in the region eu-west-3/,
        '<Region>eu-west-3</Region>',
      ],
      ['SlowDown', 503, 'unavailable', true, /asks to slow down: use fewer parallel parts/],
      ['TooManyRequests', 429, 'unavailable', true, /asks to slow down/],
      ['InternalError', 500, 'unavailable', true, /has a problem: said the server/],
      ['ServiceUnavailable', 503, 'unavailable', true, /has a problem/],
      ['QuotaExceeded', 403, 'no-space', false, /full or its quota is used up/],
      ['XMinioStorageFull', 507, 'no-space', false, /full or its quota/],
      ['BadDigest', 400, 'corrupt', true, /received other bytes than were sent/],
      ['KMS.DisabledException', 400, 'invalid-config', false, /KMS key cannot be used/],
      ['InvalidStorageClass', 400, 'invalid-config', false, /storage class/],
      ['InvalidArgument', 400, 'invalid-config', false, /refused it: said the server/],
      ['UnheardOf', 403, 'permission', false, /access is denied/],
    ];
    for (const [code, status, expected, transient, message, more] of CASES) {
      it(`are told apart: ${code}`, async () => {
        const driver = await open(() => ({ status, body: s3Error(code, 'said the server', more) }));
        const error = await failureOf(drain(driver.list('', never)));
        assert.equal(error.code, expected);
        assert.equal(error.transient, transient);
        assert.match(error.message, message);
        assert.match(error.message, /^Cannot list http:\/\/127\.0\.0\.1:\d+\/backups\/jobs: /);
        assert.match(error.message, new RegExp(`\\(${code}, HTTP ${status}`));
        assert.equal(server?.requests.length, transient ? 3 : 1, 'only passing failures are tried again');
        assert.ok(!inspected(error).includes(SECRET));
      });
    }

    it('are explained where the answer has no text', async () => {
      for (const [status, code, message] of [
        [403, 'SignatureDoesNotMatch', /secret access key/],
        [404, 'NoSuchBucket', /no bucket backups/],
        [400, 'ExpiredToken', /session token/],
        [301, 'PermanentRedirect', /region/],
      ] as const) {
        const driver = await open(() => ({ status, body: s3Error(code) }));
        const error = await failureOf(driver.stat('a', never));
        assert.match(error.message, message);
        await server?.close();
      }
      server = undefined;
    });

    it('name the region that a redirect names', async () => {
      const headers = { 'x-amz-bucket-region': 'ap-southeast-2' };
      const driver = await open(() => ({ status: 301, headers, body: s3Error('PermanentRedirect') }));
      assert.match((await failureOf(drain(driver.list('', never)))).message, /ap-southeast-2/);
      assert.match((await failureOf(driver.stat('a', never))).message, /ap-southeast-2/);
    });
  });

  describe('of something that is not S3', () => {
    it('are no empty listing, no object and no commit', async () => {
      const driver = await open(() => ({ headers: { 'content-type': 'text/html' }, body: HTML }));
      for (const work of [
        () => drain(driver.list('', never)),
        () => driver.stat('a', never),
        () => driver.sweep(new Date(), never),
        () => driver.read('a', { signal: never }),
        () => put(driver, 'a', noise(1000), true),
        () => put(driver, 'b', noise(6_000_000), true),
      ]) {
        const error = await failureOf(work());
        assert.match(error.message, /does not answer as S3 does/);
      }
    });

    for (const [status, code, message] of [
      [404, 'invalid-config', /does not answer as S3 does: correct the endpoint/],
      [400, 'invalid-config', /does not answer as S3 does/],
      [403, 'invalid-config', /does not answer as S3 does/],
      [502, 'unavailable', /has a problem: it does not say why/],
    ] as const) {
      it(`say so: ${status}`, async () => {
        const body = '<html><body>nginx<br></body></html>';
        const driver = await open(() => ({ status, headers: { 'content-type': 'text/html' }, body }));
        for (const work of [
          () => drain(driver.list('', never)),
          () => driver.stat('a', never),
          () => put(driver, 'a', noise(1000), true),
        ]) {
          const error = await failureOf(work());
          assert.equal(error.code, code, error.message);
          assert.match(error.message, message);
          assert.ok(!/aws-sdk|Deserialization/.test(error.message), error.message);
        }
      });
    }

    it('are no listing that ends early', async () => {
      const page = `<ListBucketResult><Name>backups</Name><IsTruncated>true</IsTruncated><NextContinuationToken>same</NextContinuationToken><Contents><Key>jobs/a</Key><Size>1</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents></ListBucketResult>`;
      const driver = await open(() => ({ body: page }));
      const error = await failureOf(drain(driver.list('', never)));
      assert.equal(error.code, 'incomplete');
      assert.match(error.message, /only a part/);
    });
  });

  describe('that come late or not at all', () => {
    it('are asked for again, with pauses', async () => {
      let asked = 0;
      const driver = await open(() => {
        asked += 1;
        if (asked === 1) return { status: 503, body: s3Error('SlowDown') };
        if (asked === 2) return 'cut';
        return {
          body: '<ListBucketResult><Name>backups</Name><IsTruncated>false</IsTruncated></ListBucketResult>',
        };
      });
      assert.equal(await drain(driver.list('', never)), 0);
      assert.equal(asked, 3);
    });

    it('do not fail a commit that succeeded', async () => {
      const objects = new Map<string, string>();
      const driver = await open((request) => store(objects, request, 'cut'));
      await put(driver, 'a', noise(1000));
      assert.deepEqual([...objects.keys()], ['/backups/jobs/a']);
      await put(driver, 'b', noise(11_000_000));
      assert.deepEqual([...objects.keys()], ['/backups/jobs/a', '/backups/jobs/b']);
    });

    it('do not turn the object of somebody else into ours', async () => {
      const objects = new Map<string, string>();
      const driver = await open((request) => {
        // Somebody is quicker, between our look and our request.
        if (request.method === 'PUT') objects.set(request.path, 'somebody');
        return store(objects, request);
      });
      const error = await failureOf(put(driver, 'a', noise(1000)));
      assert.equal(error.code, 'already-exists');
      assert.equal(objects.get('/backups/jobs/a'), 'somebody', 'and it is left alone');
    });

    it('of a commit that may have succeeded let its abort remove the object', async () => {
      const objects = new Map<string, string>();
      let isGone = false;
      const driver = await open((request) => {
        const answer = store(objects, request);
        if (request.method === 'PUT') isGone = true;
        return isGone && request.method === 'PUT' ? 'cut' : answer;
      });
      const pending = await driver.write('a', once(noise(1000)), { signal: never, replace: false });
      objects.clear();
      const committing = failureOf(pending.commit());
      await committing.catch(() => undefined);
      await pending.abort();
      assert.deepEqual([...objects.keys()], []);
    });
  });

  describe('of servers that can less', () => {
    it('let a storage do without conditions, and look itself', async () => {
      const objects = new Map<string, string>();
      const driver = await open((request) => {
        if (request.headers['if-none-match'] !== undefined)
          return { status: 501, body: s3Error('NotImplemented') };
        return store(objects, request);
      });
      await put(driver, 'a', noise(1000));
      await put(driver, 'b', noise(1000));
      const conditional = server?.requests.filter(({ headers }) => headers['if-none-match'] !== undefined);
      assert.equal(conditional?.length, 1, 'it is asked once');
      const pending = await driver.write('c', once(noise(10)), { signal: never });
      objects.set('/backups/jobs/c', 'somebody');
      assert.equal((await failureOf(pending.commit())).code, 'already-exists');
    });

    it('are not taken for a range', async () => {
      const driver = await open(() => ({
        headers: { etag: '"x"', 'content-length': '16' },
        body: 'the whole object',
      }));
      const error = await failureOf(driver.read('a', { signal: never, range: { start: 4, end: 9 } }));
      assert.match(error.message, /does not give parts/);
    });
  });

  describe('to AWS', () => {
    it('have checksums of parts and of the whole, and what the settings say', async () => {
      const objects = new Map<string, string>();
      const driver = await open((request) => store(objects, request), {
        provider: 'aws',
        region: 'eu-central-1',
        storageClass: 'STANDARD_IA',
        encryption: 'aws:kms',
        kmsKeyId: 'alias/backups',
      });
      await put(driver, 'large', noise(6_000_000));
      await put(driver, 'small', noise(1000));
      const [create, part, , complete] =
        server?.requests.filter(({ path, method }) => path.endsWith('large') && method !== 'HEAD') ?? [];
      assert.equal(create?.headers['x-amz-checksum-algorithm'], 'CRC32');
      assert.equal(create?.headers['x-amz-checksum-type'], 'FULL_OBJECT');
      assert.equal(create?.headers['x-amz-storage-class'], 'STANDARD_IA');
      assert.equal(create?.headers['x-amz-server-side-encryption'], 'aws:kms');
      assert.equal(create?.headers['x-amz-server-side-encryption-aws-kms-key-id'], 'alias/backups');
      assert.match(String(part?.headers['x-amz-checksum-crc32']), /^[A-Za-z0-9+/]{6}==$/);
      assert.equal(complete?.headers['x-amz-checksum-type'], 'FULL_OBJECT');
      assert.match(String(complete?.headers['x-amz-checksum-crc32']), /^[A-Za-z0-9+/]{6}==$/);
      assert.equal(complete?.headers['if-none-match'], '*');
      const small = server?.requests.find(({ path, method }) => path.endsWith('small') && method === 'PUT');
      assert.equal(
        small?.headers['x-amz-storage-class'],
        undefined,
        'small files stay in the standard class',
      );
      assert.equal(small?.headers['x-amz-server-side-encryption'], 'aws:kms');
      assert.equal(small?.headers['if-none-match'], '*');
    });

    it('have the time of the server where it counts', async () => {
      const objects = new Map<string, string>();
      const ahead = 10 * 86_400_000;
      const date = () => new Date(Date.now() + ahead).toUTCString();
      const driver = await open(
        (request) => {
          const answer = store(objects, request);
          return answer === 'cut' ? answer : { ...answer, headers: { ...answer.headers, date: date() } };
        },
        { lockMode: 'compliance', lockDays: 7, legalHold: true },
      );
      await put(driver, 'a', noise(1000));
      const { headers } =
        server?.requests.find(({ method }) => method === 'PUT') ?? assert.fail('nothing was put');
      const until = Date.parse(String(headers['x-amz-object-lock-retain-until-date']));
      assert.ok(Math.abs(until - (Date.now() + ahead + 7 * 86_400_000)) < 600_000, 'seven days by its clock');
      assert.equal(headers['x-amz-object-lock-mode'], 'COMPLIANCE');
      assert.equal(headers['x-amz-object-lock-legal-hold'], 'ON');
    });

    it('are signed by the clock of the server when ours is wrong', async () => {
      const ahead = 3_600_000;
      const date = new Date(Date.now() + ahead);
      const driver = await open(({ headers }) => {
        const signed = String(headers['x-amz-date']).replace(
          /^(....)(..)(..T..)(..)(..Z)$/,
          '$1-$2-$3:$4:$5',
        );
        const off = Math.abs(Date.parse(signed) - date.getTime());
        if (off > 900_000)
          return {
            status: 403,
            headers: { date: date.toUTCString() },
            body: s3Error('RequestTimeTooSkewed'),
          };
        return {
          body: '<ListBucketResult><Name>backups</Name><IsTruncated>false</IsTruncated></ListBucketResult>',
        };
      });
      assert.equal(await drain(driver.list('', never)), 0);
      assert.equal(server?.requests.length, 2);
    });
  });
});

/**
 * As much of S3 as stores objects, by their writers: whole ones and parts. Said by `lost`: the acknowledgement of
 * what makes an object visible is lost, once for each.
 */
function store(objects: Map<string, string>, request: S3Request, lost?: 'cut'): S3Answer {
  const { method, path, query, headers } = request;
  const etag = { etag: '"e"' };
  const isNew = !objects.has(path);
  if (method === 'HEAD') {
    if (isNew) return { status: 404 };
    return {
      headers: {
        ...etag,
        'content-length': '1',
        'last-modified': new Date().toUTCString(),
        'x-amz-meta-dbackup-write': objects.get(path) ?? '',
        'x-amz-server-side-encryption': 'aws:kms',
        'x-amz-object-lock-mode': 'COMPLIANCE',
        'x-amz-object-lock-legal-hold': 'ON',
      },
    };
  }
  if (method === 'DELETE') {
    if (query.has('uploadId')) return { status: 204 };
    objects.delete(path);
    return { status: 204 };
  }
  if (method === 'GET') {
    return {
      body: '<ListBucketResult><Name>backups</Name><IsTruncated>false</IsTruncated></ListBucketResult>',
    };
  }
  if (query.has('uploads')) {
    const id = String(headers['x-amz-meta-dbackup-write']);
    return {
      body: `<InitiateMultipartUploadResult><Key>k</Key><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
    };
  }
  if (query.has('partNumber')) return { headers: etag };
  const isComplete = query.has('uploadId');
  if (!isNew) {
    if (isComplete && objects.get(path) === query.get('uploadId'))
      return { status: 404, body: s3Error('NoSuchUpload') };
    if (headers['if-none-match'] !== undefined) return { status: 412, body: s3Error('PreconditionFailed') };
  }
  objects.set(path, isComplete ? String(query.get('uploadId')) : String(headers['x-amz-meta-dbackup-write']));
  if (lost === 'cut') return 'cut';
  if (!isComplete) return { headers: etag };
  return {
    body: '<CompleteMultipartUploadResult><Key>k</Key><ETag>"e"</ETag></CompleteMultipartUploadResult>',
  };
}

async function put(driver: DestinationDriver, path: string, content: Buffer, replace = false): Promise<void> {
  const pending = await driver.write(path, once(content), { signal: never, replace });
  await pending.commit();
}

async function* once(content: Buffer): AsyncGenerator<Buffer> {
  yield content;
}

async function drain(items: AsyncIterable<unknown>): Promise<number> {
  let count = 0;
  for await (const _ of items) count += 1;
  return count;
}

async function failureOf(work: Promise<unknown>): Promise<BackupError> {
  const thrown = await work.then(
    () => assert.fail('it succeeded'),
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof BackupError, String(thrown));
  return thrown;
}

/** All that could be logged of it. */
function inspected(error: Error): string {
  return `${error.stack}${JSON.stringify(error)}${JSON.stringify(error.cause, Object.getOwnPropertyNames(error.cause ?? {}))}`;
}
