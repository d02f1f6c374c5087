import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type _Object, type MultipartUpload, S3 } from '@aws-sdk/client-s3';
import type { S3OptionsInput } from '../../lib/destinations/s3/options.ts';
import type { S3Keys } from '../servers/ceph.ts';
import { until } from './until.ts';

/** How long a writer process may take until its first parts have arrived, in ms. */
const WRITER_MS = 60_000;

/** A bucket of a test, looked at without our driver. */
export class TestBucket {
  readonly name = `bucket-${randomBytes(6).toString('hex')}`;
  readonly client: S3;
  readonly endpoint: string;
  readonly keys: S3Keys;

  constructor(endpoint: string, keys: S3Keys) {
    this.endpoint = endpoint;
    this.keys = keys;
    this.client = new S3({ endpoint, region: 'us-east-1', credentials: keys, forcePathStyle: true });
  }

  static async create(endpoint: string, keys: S3Keys, { objectLock = false } = {}): Promise<TestBucket> {
    const bucket = new TestBucket(endpoint, keys);
    await bucket.client.createBucket({
      Bucket: bucket.name,
      ...(objectLock ? { ObjectLockEnabledForBucket: true } : {}),
    });
    return bucket;
  }

  /** Settings of a storage in this bucket, with the smallest parts that there are. */
  settings(prefix: string): S3OptionsInput {
    return {
      provider: 'ceph',
      endpoint: this.endpoint,
      bucket: this.name,
      prefix,
      ...this.keys,
      partMiB: 5,
      parallelParts: 4,
      attempts: 3,
    };
  }

  async put(Key: string, Body: Buffer): Promise<void> {
    await this.client.putObject({ Bucket: this.name, Key, Body });
  }

  /** The objects of a folder. */
  async objects(prefix: string): Promise<_Object[]> {
    const found: _Object[] = [];
    let ContinuationToken: string | undefined;
    do {
      const page = await this.client.listObjectsV2({
        Bucket: this.name,
        Prefix: `${prefix}/`,
        ContinuationToken,
      });
      found.push(...(page.Contents ?? []));
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
    return found;
  }

  /** The uploads of a folder that were neither completed nor aborted. */
  async uploads(prefix: string): Promise<MultipartUpload[]> {
    const { Uploads } = await this.client.listMultipartUploads({ Bucket: this.name, Prefix: `${prefix}/` });
    return Uploads ?? [];
  }

  /** Whether a part of an upload has arrived. */
  async hasParts(prefix: string, path: string): Promise<boolean> {
    const Key = `${prefix}/${path}`;
    const UploadId = (await this.uploads(prefix)).find((upload) => upload.Key === Key)?.UploadId;
    if (UploadId === undefined) return false;
    const { Parts = [] } = await this.client.listParts({ Bucket: this.name, Key, UploadId });
    return Parts.length > 0;
  }

  /** Everything of a folder, by paths in it. */
  async traces(prefix: string): Promise<string[]> {
    const [objects, uploads] = await Promise.all([this.objects(prefix), this.uploads(prefix)]);
    const path = (key = '') => key.slice(prefix.length + 1);
    return [
      ...objects.map(({ Key }) => path(Key)),
      ...uploads.map(({ Key, UploadId }) => `${path(Key)} (upload ${UploadId})`),
    ].sort();
  }

  /** Leaves what a process leaves that was killed (SIGKILL) while it wrote. */
  async dieWriting(prefix: string, path: string): Promise<void> {
    const script = new URL('./s3-writer-process.ts', import.meta.url).pathname;
    const child = spawn(process.execPath, [script, path], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, TEST_S3: JSON.stringify(this.settings(prefix)) },
    });
    const exited = once(child, 'exit');
    try {
      await until(async () => await this.hasParts(prefix, path), WRITER_MS);
    } finally {
      child.kill('SIGKILL');
      await exited;
    }
  }

  async empty(prefix: string): Promise<void> {
    const objects = await this.objects(prefix);
    for (let at = 0; at < objects.length; at += 1000) {
      const Objects = objects.slice(at, at + 1000).map(({ Key = '' }) => ({ Key }));
      await this.client.deleteObjects({ Bucket: this.name, Delete: { Objects, Quiet: true } });
    }
    for (const { Key, UploadId } of await this.uploads(prefix)) {
      await this.client.abortMultipartUpload({ Bucket: this.name, Key, UploadId });
    }
  }
}
