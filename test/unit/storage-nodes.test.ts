import assert from 'node:assert/strict';
import { ftpOptions } from '../../lib/destinations/ftp/options.ts';
import { localOptions } from '../../lib/destinations/local/options.ts';
import { rsyncOptions } from '../../lib/destinations/rsync/options.ts';
import { s3Options } from '../../lib/destinations/s3/options.ts';
import { S3_PRESETS } from '../../lib/destinations/s3/providers.ts';
import { sftpOptions } from '../../lib/destinations/sftp/options.ts';
import { smbOptions } from '../../lib/destinations/smb/options.ts';
import { cloudFolderUrl } from '../../lib/destinations/webdav/cloud-folder.ts';
import { webdavOptions } from '../../lib/destinations/webdav/options.ts';
import type { AnyNode } from '../../nodes/define-node.ts';
import { formOf, readSettings } from '../../nodes/forms/settings.ts';
import { OfflineServices } from '../../nodes/offline-services.ts';
import { nodeSchemas } from '../../nodes/schemas.ts';
import { STORAGE } from '../../nodes/services.ts';
import { destinationNodes, storageNodes, storageTypes } from '../../nodes/storages.ts';

function nodeOf(type: string): AnyNode {
  return nodeSchemas[type] ?? assert.fail(`There is no node ${type}`);
}

const fieldsOf = (type: string) => formOf(nodeOf(type).schema).fields;
const fieldOf = (type: string, name: string) =>
  fieldsOf(type).find((field) => field.name === name) ?? assert.fail(`${type} has no ${name}`);

/** Where the driver stores that a storage node makes of these settings. */
function placeOf(type: string, settings: Readonly<Record<string, unknown>>): string {
  const node = { id: 'storage', type, label: 'The storage', settings };
  const services = new OfflineServices({
    node: () => node,
    definition: (wanted) => nodeSchemas[wanted],
    dataDir: '/nowhere',
  });
  return services.use('The test', STORAGE, 'storage').driver().describe();
}

describe('the storages', () => {
  it('have a destination of the same kind each, which refers to them alone', () => {
    assert.equal(destinationNodes.length, storageNodes.length);
    for (const { kind, type } of storageNodes) {
      assert.equal(type, `dbackup-${kind}-storage`);
      assert.deepEqual(fieldOf(`dbackup-${kind}`, 'storage').configTypes, [type]);
      assert.ok(destinationNodes.some((node) => node.type === `dbackup-${kind}`));
    }
  });

  it('can all be restored and verified from, the local one first as ever', () => {
    assert.equal(storageTypes[0], 'dbackup-local-storage');
    assert.deepEqual(
      storageTypes,
      storageNodes.map(({ type }) => type),
    );
    for (const type of ['dbackup-restore', 'dbackup-verify']) {
      assert.deepEqual(fieldOf(type, 'storage').configTypes, storageTypes);
    }
  });

  it('keep the types of their first day', () => {
    const local = nodeOf('dbackup-local-storage');
    assert.deepEqual(
      [local.type, local.schemaVersion, fieldsOf(local.type).map(({ name }) => name)],
      ['dbackup-local-storage', 1, ['name', 'root', 'create', 'mountPoint', 'reserveMiB']],
    );
    assert.deepEqual(
      fieldsOf('dbackup-local').map(({ name }) => name),
      ['name', 'storage', 'folder', 'rate'],
    );
  });

  for (const [type, options, others] of [
    ['dbackup-local-storage', localOptions, []],
    ['dbackup-s3-storage', s3Options, []],
    // Which sign-in it is, the choice of the server says.
    ['dbackup-webdav-storage', webdavOptions, ['auth']],
    ['dbackup-ftp-storage', ftpOptions, []],
    ['dbackup-sftp-storage', sftpOptions, []],
    ['dbackup-smb-storage', smbOptions, []],
    ['dbackup-rsync-storage', rsyncOptions, []],
  ] as const) {
    it(`let people set everything that the driver of ${type} takes`, () => {
      const names = new Set(fieldsOf(type).map(({ name }) => name));
      const taken = 'shape' in options ? [options] : options.options;
      const missing = taken.flatMap(({ shape }) => Object.keys(shape)).filter((name) => !names.has(name));
      assert.deepEqual(missing, others);
    });
  }

  it('keep what is secret apart from the flow', () => {
    const secrets = storageNodes.flatMap(({ type, schema }) =>
      formOf(schema)
        .fields.filter(({ secret }) => secret)
        .map(({ name }) => `${type}.${name}`),
    );
    for (const secret of [
      'dbackup-s3-storage.secretAccessKey',
      'dbackup-s3-storage.sessionToken',
      'dbackup-webdav-storage.password',
      'dbackup-webdav-storage.token',
      'dbackup-ftp-storage.password',
      'dbackup-sftp-storage.privateKey',
      'dbackup-sftp-storage.passphrase',
      'dbackup-sftp-storage.password',
      'dbackup-smb-storage.password',
      'dbackup-rsync-storage.privateKey',
      'dbackup-rsync-storage.passphrase',
      'dbackup-rsync-storage.password',
    ]) {
      assert.ok(secrets.includes(secret), secret);
    }
  });
});

describe('the form of an S3 storage', () => {
  const type = 'dbackup-s3-storage';
  const ruleOf = (name: string, provider: string) =>
    fieldOf(type, name).cases.find(({ when }) => when === provider)?.rule;

  for (const [provider, preset] of Object.entries(S3_PRESETS)) {
    it(`asks for what ${preset.title} needs, and offers what it has`, () => {
      const inAddress = preset.endpoint ?? '';
      const hasOwnAddress = preset.endpoint === undefined && provider !== 'aws';
      assert.equal(ruleOf('endpoint', provider)?.required ?? false, hasOwnAddress, 'endpoint');
      assert.equal(ruleOf('region', provider)?.required ?? false, inAddress.includes('{region}'), 'region');
      const account = inAddress.includes('{accountId}');
      assert.equal(ruleOf('accountId', provider)?.required ?? false, account, 'account');
      assert.equal(ruleOf('lockMode', provider) !== undefined, preset.objectLock, 'object lock');
      assert.deepEqual(ruleOf('encryption', provider)?.options ?? ['none'], preset.encryption);
      const hasKms = preset.encryption.includes('aws:kms');
      assert.equal(ruleOf('kmsKeyId', provider) !== undefined, hasKms, 'key of a KMS');
    });
  }

  it('leaves the keys to the environment, or takes both', () => {
    const bucket = { provider: 'aws', bucket: 'my-backups' };
    assert.equal(placeOf(type, bucket), 's3://my-backups');
    const half = readSettings(nodeOf(type), { ...bucket, accessKeyId: 'AKIA' });
    assert.deepEqual(half, { problems: [{ field: '', message: 'The secret access key is missing' }] });
    assert.equal(
      placeOf(type, { ...bucket, provider: 'r2', accountId: 'a1', accessKeyId: 'A', secretAccessKey: 's' }),
      'https://a1.r2.cloudflarestorage.com/my-backups',
    );
  });

  it('ignores what another provider was given', () => {
    const settings = { provider: 'hetzner', region: 'fsn1', bucket: 'my-backups', endpoint: 'ftp://x' };
    assert.equal(placeOf(type, settings), 'https://fsn1.your-objectstorage.com/my-backups');
  });
});

describe('the folder of a cloud', () => {
  const FILES = 'https://cloud.example.com/remote.php/dav/files/alice';

  for (const [address, what] of [
    ['https://cloud.example.com', 'as it stands in the browser'],
    ['https://cloud.example.com/', 'with a slash'],
    ['https://cloud.example.com/index.php/apps/files', 'of an app'],
    [`${FILES}/`, 'as the settings show it for WebDAV'],
    ['https://cloud.example.com/remote.php/webdav', 'of the old kind'],
  ] as const) {
    it(`is found by the address ${what}`, () => {
      assert.equal(cloudFolderUrl(address, 'alice', 'backups/db'), `${FILES}/backups/db`);
    });
  }

  it('is found below a path, and for any name', () => {
    assert.equal(
      cloudFolderUrl('http://example.com/cloud/', 'bo b@x', 'ö#1/100%'),
      'http://example.com/cloud/remote.php/dav/files/bo%20b%40x/%C3%B6%231/100%25',
    );
    assert.equal(cloudFolderUrl('https://cloud.example.com', 'alice', ''), FILES);
  });

  for (const [address, folder, reason] of [
    ['cloud.example.com', 'backups', /begin with https/],
    ['ftp://cloud.example.com', 'backups', /begin with https/],
    ['https://alice:pw@cloud.example.com', 'backups', /holds a user, a password/],
    ['https://cloud.example.com?x=1', 'backups', /holds a user, a password, \?/],
    ['https://cloud.example.com', '../bob', /".." may not be part/],
    ['https://cloud.example.com', '/backups', /begins or ends with a slash/],
  ] as const) {
    it(`is refused for ${address} and ${folder}`, () => {
      assert.throws(() => cloudFolderUrl(address, 'alice', folder), {
        code: 'invalid-config',
        message: reason,
      });
    });
  }

  it('is where the node for a Nextcloud stores', () => {
    const settings = { server: 'nextcloud', address: 'https://cloud.example.com', user: 'alice' };
    const place = placeOf('dbackup-webdav-storage', { ...settings, password: 'x', folder: 'backups' });
    assert.equal(place, `${FILES}/backups`);
  });
});
