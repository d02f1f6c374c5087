import assert from 'node:assert/strict';
import { BLOCK_BYTES } from '../../lib/bytes/stream.ts';
import { createS3Destination } from '../../lib/destinations/s3/s3.ts';
import { type ScriptedS3, startScriptedS3 } from '../support/scripted-s3.ts';

const never = new AbortController().signal;
/** Beyond 4 GiB, where a 32-bit position would wrap around. */
const BLOCKS = 4200;
/** How far memory may grow, in bytes: the parts of the settings, and what a collection leaves. */
const MEMORY_BYTES = 384 * BLOCK_BYTES;

describe('a large object for S3', () => {
  let server: ScriptedS3;
  after(async () => await server.close());

  it('goes up in parts of constant memory, each byte once', async function () {
    this.timeout(900_000);
    server = await startScriptedS3(({ method, query }) => {
      if (method === 'HEAD') return { status: 404 };
      if (method === 'GET')
        return { body: '<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>' };
      if (query.has('uploads')) {
        return {
          body: '<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>',
        };
      }
      if (query.has('partNumber')) return { headers: { etag: `"${query.get('partNumber')}"` } };
      return { body: '<CompleteMultipartUploadResult><Key>k</Key></CompleteMultipartUploadResult>' };
    });
    const driver = createS3Destination({
      ...{ provider: 'other', endpoint: server.endpoint, bucket: 'backups' },
      ...{ accessKeyId: 'AKIATEST', secretAccessKey: 'secret' },
    });
    const block = Buffer.alloc(BLOCK_BYTES, 7);
    const before = process.memoryUsage.rss();
    let peak = before;
    async function* large(): AsyncGenerator<Buffer> {
      for (let index = 0; index < BLOCKS; index += 1) {
        peak = Math.max(peak, process.memoryUsage.rss());
        yield block;
      }
      yield Buffer.from('end');
    }
    const pending = await driver.write('large', large(), { signal: never });
    assert.equal(pending.bytes, BLOCKS * BLOCK_BYTES + 3);
    await pending.commit();

    const parts = server.requests
      .filter(({ query }) => query.has('partNumber'))
      .map(({ query, bytes }) => ({ number: Number(query.get('partNumber')), bytes }))
      .sort((a, b) => a.number - b.number);
    assert.deepEqual(
      parts.map(({ number }) => number),
      parts.map((_, index) => index + 1),
      'each part once',
    );
    assert.equal(
      parts.reduce((sum, { bytes }) => sum + bytes, 0),
      BLOCKS * BLOCK_BYTES + 3,
    );
    assert.equal(parts.at(-1)?.bytes, 3);
    assert.ok(parts.slice(0, -1).every(({ bytes }) => bytes === 8 * BLOCK_BYTES));
    assert.ok(
      peak - before < MEMORY_BYTES,
      `memory grew by ${Math.round((peak - before) / BLOCK_BYTES)} MiB`,
    );
  });
});
