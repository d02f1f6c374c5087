import assert from 'node:assert/strict';
import type { AnyNode } from '../../nodes/define-node.ts';
import { nodeSchemas } from '../../nodes/schemas.ts';
import type { NodeForm } from '../support/editor/node-form.ts';
import { sampleFlow, sampleId } from '../support/editor/sample-flow.ts';
import { withSampleForm } from '../support/editor/sample-form.ts';
import { editorSuite } from '../support/editor/suite.ts';
import { until } from '../support/until.ts';

interface WrongValue {
  readonly field: string;
  readonly value: string;
  readonly reason: RegExp;
  readonly right: string;
  /** Choices that the field needs first. */
  readonly choose?: Readonly<Record<string, string>>;
}

/** For each node: values that its form must not take, and what it says about them. */
const WRONG: Readonly<Record<string, readonly WrongValue[]>> = {
  'dbackup-sqlite': [
    { field: 'job', value: '', reason: /^Job: is missing$/, right: 'shop' },
    { field: 'job', value: 'shop/db', reason: /^Job: does not have the right form$/, right: 'shop-db' },
    { field: 'pagesPerStep', value: 'many', reason: /^Pages per step: must be a number$/, right: '100' },
    { field: 'pagesPerStep', value: '1.5', reason: /must be a whole number$/, right: '2' },
    { field: 'busyTimeout', value: '-1', reason: /^Wait for locks: must be at least 0$/, right: '5' },
  ],
  'dbackup-postgres': [
    { field: 'lockTimeout', value: '-1', reason: /^Wait for locks: must be at least 0$/, right: '0' },
  ],
  'dbackup-postgres-server': [
    { field: 'port', value: '70000', reason: /^Port: must be at most 65535$/, right: variable('PORT') },
    { field: 'user', value: '', reason: /^User: is missing$/, right: 'backup' },
    { field: 'concurrency', value: '0', reason: /^Dumps at a time: must be at least 1$/, right: '4' },
  ],
  'dbackup-compress': [
    { field: 'level', value: '20', reason: /^Level: must be at most 19$/, right: '19' },
    { field: 'level', value: '19', reason: /at most 9$/, right: '9', choose: { algorithm: 'gzip' } },
  ],
  'dbackup-local': [
    { field: 'folder', value: '../elsewhere', reason: /^Subfolder: does not have the/, right: 'a/b' },
    { field: 'rate', value: '0', reason: /^Rate limit: must be more than 0$/, right: '2.5' },
    {
      field: 'rate',
      value: `x${variable('RATE')}`,
      reason: /variable must be the whole value/,
      right: variable('RATE'),
    },
  ],
  'dbackup-local-storage': [
    { field: 'root', value: 'backups', reason: /^Folder: does not have the right form$/, right: '/backups' },
    {
      field: 'root',
      value: '/',
      reason: /^Folder: does not have the right form$/,
      right: variable('BACKUPS'),
    },
  ],
  'dbackup-s3-storage': [
    {
      field: 'bucket',
      value: 'My/Backups',
      reason: /^Bucket: does not have the right form$/,
      right: 'backups',
    },
    {
      field: 'endpoint',
      value: 's3.example.com',
      reason: /^Endpoint: does not have the right form$/,
      right: variable('S3_ENDPOINT'),
      choose: { provider: 'minio' },
    },
    {
      field: 'endpoint',
      value: 'https://key:secret@s3.example.com',
      reason: /^Endpoint: does not have the right form$/,
      right: 'https://s3.example.com:9000',
    },
    { field: 'region', value: '', reason: /is missing$/, right: 'fsn1', choose: { provider: 'hetzner' } },
    { field: 'partMiB', value: '4', reason: /^Part size: must be at least 5$/, right: '64' },
  ],
  'dbackup-webdav-storage': [
    {
      field: 'folder',
      value: '../of-bob',
      reason: /^Folder: does not have the right form$/,
      right: 'backups',
    },
    {
      field: 'url',
      value: 'dav.example.com',
      reason: /^URL: does not have the right form$/,
      right: 'http://127.0.0.1/dav',
      choose: { server: 'digest' },
    },
    { field: 'token', value: '', reason: /is missing$/, right: 'abc', choose: { server: 'bearer' } },
  ],
  'dbackup-ftp-storage': [
    { field: 'host', value: '', reason: /^Host: is missing$/, right: 'ftp.example.com' },
    { field: 'port', value: '0', reason: /^Port: must be at least 1$/, right: variable('FTP_PORT') },
    { field: 'connections', value: '1', reason: /must be at least 2$/, right: '2' },
  ],
  'dbackup-sftp-storage': [
    { field: 'user', value: '', reason: /^User: is missing$/, right: variable('SFTP_USER') },
    { field: 'port', value: '65536', reason: /^Port: must be at most 65535$/, right: '2222' },
    { field: 'reserveMiB', value: '-1', reason: /^Keep free: must be at least 0$/, right: '0' },
    { field: 'password', value: '', reason: /is missing$/, right: 'secret', choose: { auth: 'password' } },
  ],
  'dbackup-smb-storage': [
    {
      field: 'share',
      value: 'backups/shop',
      reason: /^Share: does not have the right form$/,
      right: 'backups',
    },
    { field: 'host', value: String.raw`\\nas`, reason: /^Host: does not have the right form$/, right: 'nas' },
    { field: 'connections', value: '1', reason: /must be at least 2$/, right: '2' },
  ],
  'dbackup-rsync-storage': [
    { field: 'root', value: 'back*', reason: /^Folder: does not have the right form$/, right: 'back/ups' },
    { field: 'user', value: '', reason: /^User: is missing$/, right: 'backup' },
    {
      field: 'module',
      value: '',
      reason: /^Module: is missing$/,
      right: 'backups',
      choose: { transport: 'daemon' },
    },
  ],
  'dbackup-key': [
    { field: 'keyName', value: '../main', reason: /^Key name: does not have the right form$/, right: 'x' },
    { field: 'masterSecret', value: 'short', reason: /at least 12 characters$/, right: 'long enough now' },
    {
      field: 'identity',
      value: 'age1abc',
      reason: /^Identity: does not have the right form$/,
      right: 'AGE-SECRET-KEY-1ABC',
      choose: { kind: 'age' },
    },
  ],
  'dbackup-restore': [
    { field: 'jobs', value: '0', reason: /^Parallel jobs: must be at least 1$/, right: '4' },
    { field: 'job', value: '', reason: /^Job: is missing$/, right: 'shop', choose: { from: 'latest' } },
  ],
};

describe('The forms of the nodes', function () {
  this.timeout(240_000);
  const suite = editorSuite(() => ({ flow: sampleFlow() }));
  afterEach(async () => {
    await suite.editor.closeForms();
    assert.deepEqual(suite.editor.problems, []);
  });

  it('take the examples that they give', async () => {
    const { canvas } = suite.editor;
    await until(async () => (await canvas.ids()).length > 0);
    assert.deepEqual(await canvas.invalid(), []);
    assert.deepEqual(await canvas.unknown(), []);
  });

  for (const [type, values] of Object.entries(WRONG)) {
    it(`mark wrong values of ${type} and say what is wrong with them`, async () => {
      await withSampleForm(suite.editor, nodeOf(type), async (form) => {
        for (const value of values) await assertRefused(form, value);
      });
    });
  }

  it('mark wrong entries of a list', async () => {
    await withSampleForm(suite.editor, nodeOf('dbackup-key'), async (form) => {
      await form.choose('kind', 'age');
      await form.fillList('recipients', ['age1qqq', 'ssh-ed25519 AAAA']);
      assert.deepEqual(await form.wrong(), ['recipients']);
      assert.equal(await form.reason('recipients'), 'Recipients (2): does not have the right form');
      await form.fillList('recipients', ['age1qqq', 'age1ppp']);
      assert.deepEqual(await form.wrong(), []);
    });
  });

  it('keep a node with a mistake marked until the mistake is gone', async () => {
    const node = suite.editor.canvas.node(sampleId('dbackup-sqlite'));
    const form = await node.open();
    await form.unfold();
    await form.fill('busyTimeout', 'soon');
    await form.fillList('files', ['']);
    await form.done();
    assert.equal(await node.isInvalid(), true);

    const again = await node.open();
    assert.deepEqual((await again.wrong()).sort(), ['busyTimeout', 'files']);
    await again.fill('busyTimeout', '5');
    await again.fillList('files', ['/data/shop.sqlite']);
    assert.deepEqual(await again.wrong(), []);
    await again.done();
    assert.equal(await node.isInvalid(), false);
  });

  it('mark every node that uses a config node with a mistake', async () => {
    const { canvas } = suite.editor;
    const node = canvas.node(sampleId('dbackup-local'));
    const form = await node.open();
    const storage = await form.editConfig('storage');
    await storage.fill('root', '');
    await storage.done();
    await form.marked('storage');
    assert.deepEqual(await form.wrong(), ['storage']);
    assert.equal(await form.reason('storage'), 'Storage: is missing or not fully set up');
    await form.done();
    assert.equal(await node.isInvalid(), true);

    const again = await node.open();
    const better = await again.editConfig('storage');
    assert.deepEqual(await better.wrong(), ['root']);
    await better.fill('root', '/var/backups/dbackup');
    await better.done();
    await again.done();
    assert.equal(await node.isInvalid(), false);
  });
});

/** As Node-RED takes environment variables. */
function variable(name: string): string {
  return `\${${name}}`;
}

function nodeOf(type: string): AnyNode {
  const node = nodeSchemas[type];
  assert.ok(node, `There is no node ${type}`);
  return node;
}

async function assertRefused(form: NodeForm, wrong: WrongValue): Promise<void> {
  const { field, value, reason, right, choose = {} } = wrong;
  for (const [chooser, choice] of Object.entries(choose)) await form.choose(chooser, choice);
  if (!(await form.row(field).isVisible())) await form.unfold();
  await form.fill(field, value);
  await form.marked(field);
  assert.match(await form.reason(field), reason);
  await form.fill(field, right);
  await until(async () => !(await form.wrong()).includes(field));
}
