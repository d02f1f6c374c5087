import assert from 'node:assert/strict';
import fc from 'fast-check';
import { openStorage } from '../../lib/destinations/open.ts';
import { type S3OptionsInput, s3Options } from '../../lib/destinations/s3/options.ts';
import { KeySpace } from '../../lib/destinations/s3/paths.ts';
import { resolveTarget } from '../../lib/destinations/s3/providers.ts';
import { createS3Destination } from '../../lib/destinations/s3/s3.ts';
import { BackupError } from '../../lib/errors.ts';

const SECRET = 'wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY';

describe('settings of S3 storages', () => {
  const target = (settings: Partial<S3OptionsInput>) =>
    resolveTarget(s3Options.parse({ bucket: 'backups', ...settings }));

  it('fill in the address of each provider', () => {
    assert.equal(target({}).endpoint, undefined);
    assert.equal(
      target({ provider: 'r2', accountId: 'abc123' }).endpoint,
      'https://abc123.r2.cloudflarestorage.com',
    );
    assert.equal(
      target({ provider: 'hetzner', region: 'fsn1' }).endpoint,
      'https://fsn1.your-objectstorage.com',
    );
    assert.equal(
      target({ provider: 'backblaze', region: 'eu-central-003' }).endpoint,
      'https://s3.eu-central-003.backblazeb2.com',
    );
    const minio = target({ provider: 'minio', endpoint: 'http://127.0.0.1:9000/' });
    assert.equal(minio.endpoint, 'http://127.0.0.1:9000');
    assert.equal(minio.region, 'us-east-1');
    assert.equal(minio.pathStyle, true);
    assert.equal(target({ provider: 'r2', accountId: 'abc123' }).region, 'auto');
    assert.equal(target({ provider: 'aws', region: 'eu-central-1' }).pathStyle, false);
    assert.equal(target({ provider: 'aws', addressing: 'path' }).pathStyle, true);
  });

  it('check parts by CRC-32 where the server does, else by MD5, and as they are told', () => {
    assert.equal(target({}).checksum, 'crc32');
    assert.equal(target({ provider: 'ceph', endpoint: 'http://ceph' }).checksum, 'md5');
    assert.equal(target({ provider: 'ceph', endpoint: 'http://ceph', checksum: 'crc32' }).checksum, 'crc32');
    assert.equal(target({ checksum: 'md5' }).checksum, 'md5');
  });

  const REFUSED: [string, Partial<S3OptionsInput>, RegExp][] = [
    ['no endpoint', { provider: 'minio' }, /MinIO needs an endpoint/],
    ['no region', { provider: 'hetzner', region: '' }, /needs a region: fsn1, nbg1, hel1/],
    ['no account', { provider: 'r2' }, /needs the account ID/],
    ['an endpoint without a scheme', { provider: 'other', endpoint: 'minio:9000' }, /begins with https:/],
    ['keys in the endpoint', { provider: 'other', endpoint: `https://key:${SECRET}@minio` }, /own fields/],
    ['a query in the endpoint', { provider: 'other', endpoint: 'https://minio/?x=1' }, /holds \? or #/],
    ['a key without a secret', { accessKeyId: 'AKIA' }, /secret access key is missing/],
    ['a secret without a key', { secretAccessKey: SECRET }, /access key ID is missing/],
    ['a KMS key without KMS', { kmsKeyId: 'alias/backups' }, /not aws:kms/],
    ['KMS on B2', { provider: 'backblaze', region: 'x', encryption: 'aws:kms' }, /does not offer .* aws:kms/],
    ['object lock on R2', { provider: 'r2', accountId: 'a', lockMode: 'governance' }, /no S3 object lock/],
    ['no bucket', { bucket: '' }, /bucket is missing/],
    ['a path as bucket', { bucket: 'a/b' }, /no name of a bucket/],
    ['a folder that climbs', { prefix: 'a/../b' }, /not a valid object path/],
    ['small parts', { partMiB: 4 }, /partMiB/],
    ['a storage class with a line break', { storageClass: 'A\r\nB' }, /header/],
  ];
  for (const [name, settings, message] of REFUSED) {
    it(`refuse ${name}`, () => {
      assert.throws(
        () => createS3Destination({ bucket: 'backups', region: 'eu-central-1', ...settings }),
        (error) => {
          assert.ok(error instanceof BackupError);
          assert.equal(error.code, 'invalid-config');
          assert.match(error.message, message);
          assert.ok(!error.message.includes(SECRET));
          return true;
        },
      );
    });
  }
});

describe('S3 storages that are named directly', () => {
  it('are on AWS, or where the endpoint says', () => {
    assert.equal(openStorage('s3://backups/my%20jobs/%C3%B6').describe(), 's3://backups/my%20jobs/%C3%B6');
    assert.equal(openStorage('s3://backups').describe(), 's3://backups');
    assert.equal(
      openStorage('s3://backups/jobs/?endpoint=https://minio.lan:9000').describe(),
      'https://minio.lan:9000/backups/jobs',
    );
    assert.equal(
      openStorage('s3://backups?provider=hetzner&region=fsn1').describe(),
      'https://fsn1.your-objectstorage.com/backups',
    );
  });

  it('hold no keys, and do not repeat those that they hold', () => {
    for (const [location, message] of [
      [`s3://AKIA:${SECRET}@backups/jobs`, /keys.*environment/],
      [`s3://backups?secretAccessKey=${SECRET}`, /does not belong there.*environment/],
      [`s3://backups?${SECRET}`, /does not belong there/],
      [`s3://backups/a#${SECRET}`, /%23/],
      ['s3://backups?provider=gcs', /provider/],
    ] as const) {
      assert.throws(
        () => openStorage(location),
        (error) => {
          assert.ok(error instanceof BackupError);
          assert.equal(error.code, 'invalid-config');
          assert.match(error.message, message);
          assert.ok(!error.message.includes(SECRET));
          return true;
        },
      );
    }
  });
});

describe('keys in a bucket', () => {
  it('lead back to the path', () => {
    const name = fc.stringMatching(/^[a-zA-Z0-9 äß%#+][a-zA-Z0-9 äß%#+.]{0,20}$/);
    const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('/'));
    fc.assert(
      fc.property(fc.option(path, { nil: '' }), path, (prefix, object) => {
        const keys = new KeySpace(prefix);
        const key = keys.keyOf(object);
        assert.equal(keys.pathOf(key), object);
        assert.equal(key, prefix === '' ? object : `${prefix}/${object}`);
        assert.ok(key.startsWith(keys.folderKey('')));
      }),
    );
  });

  it('of others lead nowhere', () => {
    const keys = new KeySpace('jobs');
    for (const key of [
      'jobs',
      'jobs/',
      'jobs/a/',
      'jobs//a',
      'jobs/.hidden',
      'jobs2/a',
      'a',
      'jobs/a\nb',
      'jobs/../a',
    ]) {
      assert.equal(keys.pathOf(key), undefined, key);
    }
  });

  it('have at most 1024 bytes', () => {
    const keys = new KeySpace('p'.repeat(200));
    const long = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(205)).join('/');
    assert.equal(Buffer.byteLength(keys.keyOf(long)), 1024);
    assert.throws(() => keys.keyOf(`${long}e`), /S3 takes 1024/);
    assert.throws(() => keys.folderKey(long), /S3 takes 1024/);
  });
});
