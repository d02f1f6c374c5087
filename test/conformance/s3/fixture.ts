import { randomBytes } from 'node:crypto';
import type { S3OptionsInput } from '../../../lib/destinations/s3/options.ts';
import { createS3Destination } from '../../../lib/destinations/s3/s3.ts';
import type { ErrorCode } from '../../../lib/errors.ts';
import { type CephOptions, startCeph, type TestCeph } from '../../servers/ceph.ts';
import { freePort } from '../../support/free-port.ts';
import { TestBucket } from '../../support/s3-bucket.ts';
import type { BrokenStorage, DestinationFixture } from '../destination.suite.ts';

/** Storages on a Ceph cluster of their own, each in a folder of one bucket. */
export function cephFixture(
  name: string,
  options: CephOptions,
  change: Partial<S3OptionsInput> = {},
): DestinationFixture {
  let ceph: TestCeph;
  let bucket: TestBucket;
  return {
    name,
    startMs: 300_000,
    lacks: ['free space'],
    start: async () => {
      ceph = await startCeph(options);
      bucket = await TestBucket.create(ceph.endpoint, ceph.keys);
    },
    stop: async () => await ceph?.stop(),
    broken: [
      broken(
        'the bucket is missing',
        'not-found',
        /has no bucket no-such-bucket: create it/,
        async (settings) => ({
          ...settings,
          bucket: 'no-such-bucket',
        }),
      ),
      broken(
        'the access key is unknown',
        'permission',
        /does not know this access key ID/,
        async (settings) => ({
          ...settings,
          accessKeyId: 'AKIAUNKNOWN',
        }),
      ),
      broken('the secret is wrong', 'permission', /secret access key does not belong/, async (settings) => ({
        ...settings,
        secretAccessKey: 'wrong',
      })),
      broken(
        'the bucket is of somebody else',
        'permission',
        /access is denied: the key needs s3:/,
        async (settings) => ({
          ...settings,
          ...(await ceph.createUser(`stranger-${randomBytes(4).toString('hex')}`)),
        }),
      ),
      broken('the certificate is unknown', 'invalid-config', /set the CA file/, async (settings) => ({
        ...settings,
        endpoint: ceph.tlsEndpoint,
      })),
      broken('nothing listens', 'unavailable', /nothing listens there/, async (settings) => ({
        ...settings,
        endpoint: `http://127.0.0.1:${await freePort()}`,
        attempts: 2,
      })),
    ],
    open: async () => {
      const prefix = `run ${randomBytes(6).toString('hex')}/ö`;
      const settings = { ...bucket.settings(prefix), ...change };
      return {
        driver: createS3Destination(settings),
        again: () => createS3Destination(settings),
        traces: async () => await bucket.traces(prefix),
        dieWriting: async (path) => await bucket.dieWriting(prefix, path),
        plant: async (path, content) => await bucket.put(`${prefix}/${path}`, content),
        close: async () => await bucket.empty(prefix),
      };
    },
  };

  function broken(
    name: string,
    code: ErrorCode,
    message: RegExp,
    change: (settings: S3OptionsInput) => Promise<S3OptionsInput>,
  ): BrokenStorage {
    return {
      name,
      code,
      message,
      open: async () => ({ driver: createS3Destination(await change(bucket.settings('broken'))) }),
    };
  }
}
