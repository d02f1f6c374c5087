import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { compareDatabases, createDatabase } from '../fixtures/sqlite-database.ts';
import type { NodeForm } from '../support/editor/node-form.ts';
import { editorSuite } from '../support/editor/suite.ts';
import { freePort } from '../support/free-port.ts';
import { type StorageServers, startStorageServers } from '../support/storage-servers.ts';
import { until } from '../support/until.ts';

const TAB = { id: 'the-tab', type: 'tab', label: 'Test', disabled: false, info: '' };
const at = { z: 'the-tab', schemaVersion: 1 };

/** One kind of storage, as a person sets it up. */
interface Kind {
  readonly type: string;
  /** What the palette and the list of storages call it. */
  readonly label: string;
  readonly group: string;
  /** Fields that a new storage is marked with. */
  readonly missing: readonly string[];
  /** Fills in everything but the secret. */
  fill(form: NodeForm, servers: StorageServers): Promise<void>;
  readonly secret: string;
  secretOf(servers: StorageServers): string | undefined;
  readonly wrongSecret: RegExp;
  /** Lets the form name another port of the same host. */
  move(form: NodeForm, port: number): Promise<void>;
  back(form: NodeForm, servers: StorageServers): Promise<void>;
}

const KINDS: readonly Kind[] = [
  {
    type: 'dbackup-s3',
    label: 's3',
    group: 'S3 storage',
    missing: ['bucket'],
    async fill(form, { bucket }) {
      await form.choose('provider', 'ceph');
      await form.marked('endpoint');
      await form.fill('endpoint', bucket.endpoint);
      await form.fill('bucket', bucket.name);
      await form.fill('prefix', 'editor');
      await form.fill('accessKeyId', bucket.keys.accessKeyId);
    },
    secret: 'secretAccessKey',
    secretOf: ({ bucket }) => bucket.keys.secretAccessKey,
    wrongSecret: /secret access key does not belong/,
    move: (form, port) => form.fill('endpoint', `http://127.0.0.1:${port}`),
    back: (form, { bucket }) => form.fill('endpoint', bucket.endpoint),
  },
  {
    type: 'dbackup-webdav',
    label: 'webdav',
    group: 'WebDAV storage',
    missing: ['server', 'address', 'user', 'password'],
    async fill(form, { webdav }) {
      await form.choose('server', 'basic');
      await form.marked('url');
      await form.fill('url', `${webdav.settings.url}/editor`);
      await form.fill('user', webdav.settings.user ?? '');
      await form.check('create', true);
      await form.unfold();
      await form.fill('caFile', webdav.caFile);
    },
    secret: 'password',
    secretOf: ({ webdav }) => webdav.settings.password,
    wrongSecret: /user and password/,
    move: (form, port) => form.fill('url', `https://127.0.0.1:${port}/dav/editor`),
    back: (form, { webdav }) => form.fill('url', `${webdav.settings.url}/editor`),
  },
  {
    type: 'dbackup-ftp',
    label: 'ftp',
    group: 'FTP storage',
    missing: ['host', 'user'],
    async fill(form, { ftp }) {
      await form.fill('host', ftp.host);
      await form.fill('port', String(ftp.port));
      await form.fill('user', ftp.settings.user ?? '');
      await form.fill('root', 'editor');
      await form.check('create', true);
      await form.unfold();
      await form.fill('caFile', ftp.caFile);
    },
    secret: 'password',
    secretOf: ({ ftp }) => ftp.settings.password,
    wrongSecret: /check user and password/,
    move: (form, port) => form.fill('port', String(port)),
    back: (form, { ftp }) => form.fill('port', String(ftp.port)),
  },
];

describe('Storages in the editor', function () {
  this.timeout(240_000);
  // Each test goes on where the one before it ended.
  this.bail(true);
  let servers: StorageServers;
  const ids = new Map<string, string>();
  const suite = editorSuite(async (folder) => {
    servers = await startStorageServers();
    createDatabase(join(folder, 'shop.sqlite'), { megabytes: 1 });
    const go = { props: [], repeat: '', crontab: '', once: false };
    const source = { job: 'shop', files: [join(folder, 'shop.sqlite')] };
    const target = { from: 'message', target: join(folder, 'restored.sqlite'), job: 'shop' };
    return {
      flow: [
        TAB,
        { id: 'go', type: 'inject', ...at, ...go, name: 'go', x: 120, y: 80, wires: [['source']] },
        { id: 'source', type: 'dbackup-sqlite', ...at, ...source, x: 300, y: 80, wires: [[]] },
        { id: 'back', type: 'inject', ...at, ...go, name: 'back', x: 120, y: 380, wires: [['restore']] },
        { id: 'restore', type: 'dbackup-restore', ...at, ...target, x: 300, y: 380, wires: [[]] },
      ],
    };
  });
  after(() => servers?.stop());
  afterEach(() => assert.deepEqual(suite.editor.problems, []));

  const node = (id: string) => suite.editor.canvas.node(id);

  for (const [index, kind] of KINDS.entries()) {
    it(`${kind.label} is dragged from the palette, set up, and tried until it works`, async () => {
      const { canvas } = suite.editor;
      const added = await canvas.add(kind.type, { x: 560, y: 80 + 90 * index });
      ids.set(kind.type, added.id);
      await canvas.wire(node('source'), added);
      assert.ok((await canvas.invalid()).includes(kind.label));

      const form = await added.open();
      const storage = await form.addConfig('storage');
      for (const field of kind.missing) await storage.marked(field);
      assert.deepEqual((await storage.wrong()).sort(), [...kind.missing].sort());
      await kind.fill(storage, servers);
      await storage.fill('name', `My ${kind.label}`);

      await storage.fill(kind.secret, 'this is not it');
      const wrong = await storage.ask('test');
      assert.equal(wrong.level, 'error', wrong.text);
      await until(() => storage.isAnswerInSight('test'));
      assert.match(wrong.text, kind.wrongSecret);
      assert.ok(!wrong.text.includes('this is not it'));

      await storage.fill(kind.secret, kind.secretOf(servers) ?? '');
      await kind.move(storage, await freePort());
      const unreachable = await storage.ask('test');
      assert.equal(unreachable.level, 'error', unreachable.text);
      assert.match(unreachable.text, /nothing listens|refused/i);

      await kind.back(storage, servers);
      const right = await storage.ask('test');
      assert.equal(right.level, 'ok', right.text);
      await until(async () => (await storage.wrong()).length === 0);
      await storage.done();
      await until(async () => (await form.chosen('storage')) === `My ${kind.label}`);
      await form.done();
      await until(async () => !(await added.isInvalid()));
    });
  }

  it('get the backup, all at once', async () => {
    await suite.editor.deploy();
    await node('go').press();
    for (const { type } of KINDS) {
      assert.match(await node(ids.get(type) ?? '').shows(/^✓|^✗/), /^✓/, type);
    }
    const [set = ''] = readdirSync(join(servers.webdav.root, 'editor', 'shop'));
    assert.deepEqual(readdirSync(join(servers.ftp.home, 'editor', 'shop')), [set]);
    const traces = await servers.bucket.traces('editor');
    assert.ok(traces.includes(`shop/${set}/manifest.json`), traces.join());
  });

  it('are offered by their kinds where a set is restored from', async () => {
    const form = await node('restore').open();
    await form.choose('from', 'latest');
    const offered = await form.configs('storage');
    for (const { group, label } of KINDS) assert.deepEqual(offered[group], [`My ${label}`]);
    await form.chooseConfig('storage', 'My s3');
    await until(async () => (await form.wrong()).length === 0);
    await form.done();
    await suite.editor.deploy();
    await node('back').press();
    assert.match(await node('restore').shows(/^✓|^✗/), /^✓/);
    compareDatabases(join(suite.folder, 'shop.sqlite'), join(suite.folder, 'restored.sqlite'));
  });

  it('keep their secrets, which a test after the next start still knows', async () => {
    const { editor } = suite;
    await editor.reload();
    for (const { type, secret } of KINDS) {
      const form = await node(ids.get(type) ?? '').open();
      const storage = await form.editConfig('storage');
      assert.match(await storage.input(secret).inputValue(), /^(__PWRD__)?$/);
      const { level, text } = await storage.ask('test');
      assert.equal(level, 'ok', text);
      await storage.cancel();
      await form.cancel();
    }
    const dialog = await editor.exportDialog();
    const text = await dialog.text();
    await dialog.cancel();
    for (const kind of KINDS) assert.ok(!text.includes(JSON.stringify(kind.secretOf(servers)).slice(1, -1)));
  });

  it('warn of what others could read or nobody could undo', async () => {
    const form = await node(ids.get('dbackup-ftp') ?? '').open();
    const ftp = await form.editConfig('storage');
    const caution = ftp.row('security').locator('.dbackup-caution:visible');
    assert.equal(await caution.count(), 0);
    await ftp.choose('security', 'plain');
    assert.match(await caution.innerText(), /readable by others/);
    assert.equal(await ftp.row('caFile').isVisible(), false, 'there is no certificate then');
    await ftp.choose('security', 'implicit-tls');
    assert.equal(await caution.count(), 0);
    await ftp.check('verifyCertificate', false);
    const unchecked = ftp.row('verifyCertificate').locator('.dbackup-caution:visible');
    assert.match(await unchecked.innerText(), /can pose as the server/);
    await ftp.cancel();
    await form.cancel();
  });

  it('show of a provider what it needs and offers', async () => {
    const form = await node(ids.get('dbackup-s3') ?? '').open();
    const s3 = await form.editConfig('storage');
    await s3.unfold();
    const shown = async (field: string) => s3.row(field).isVisible();
    const examples = async (field: string) => s3.input(field).getAttribute('placeholder');
    const encryption = () =>
      s3
        .input('encryption')
        .locator('option:not([hidden])')
        .evaluateAll((options) => options.map((option) => option.getAttribute('value')));
    assert.deepEqual(await encryption(), ['none', 'AES256', 'aws:kms']);
    await s3.choose('provider', 'backblaze');
    assert.deepEqual(await encryption(), ['none', 'AES256']);
    assert.deepEqual([await shown('endpoint'), await examples('region')], [false, 'eu-central-003']);
    await s3.marked('region');
    await s3.choose('provider', 'r2');
    assert.deepEqual([await shown('accountId'), await shown('lockMode')], [true, false]);
    await s3.choose('provider', 'aws');
    assert.deepEqual([await shown('accountId'), await examples('region')], [false, 'eu-central-1']);
    await s3.cancel();
    await form.cancel();
  });
});
