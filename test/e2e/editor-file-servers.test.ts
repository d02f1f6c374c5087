import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { compareDatabases, createDatabase } from '../fixtures/sqlite-database.ts';
import type { NodeForm } from '../support/editor/node-form.ts';
import { editorSuite } from '../support/editor/suite.ts';
import { type FileServers, skipWithoutFileServers, startFileServers } from '../support/file-servers.ts';
import { freePort } from '../support/free-port.ts';
import { until } from '../support/until.ts';

const TAB = { id: 'the-tab', type: 'tab', label: 'Test', disabled: false, info: '' };
const at = { z: 'the-tab', schemaVersion: 1 };
const WRONG = 'this is not it';
const DESTINATIONS = ['the-sftp', 'the-smb', 'the-rsync'];

describe('Storages on file servers in the editor', function () {
  this.timeout(240_000);
  // Each test goes on where the one before it ended.
  this.bail(true);
  before(function () {
    skipWithoutFileServers(this);
  });
  let servers: FileServers;
  const suite = editorSuite(async (folder) => {
    servers = await startFileServers();
    createDatabase(join(folder, 'shop.sqlite'), { megabytes: 1 });
    const go = { props: [], repeat: '', crontab: '', once: false };
    const source = { job: 'shop', files: [join(folder, 'shop.sqlite')] };
    const target = { from: 'message', target: join(folder, 'restored.sqlite'), job: 'shop' };
    const wires = [DESTINATIONS];
    return {
      flow: [
        TAB,
        { id: 'go', type: 'inject', ...at, ...go, name: 'go', x: 120, y: 80, wires: [['source']] },
        { id: 'source', type: 'dbackup-sqlite', ...at, ...source, x: 300, y: 80, wires },
        destination('sftp', 80),
        destination('smb', 160),
        destination('rsync', 240),
        { id: 'back', type: 'inject', ...at, ...go, name: 'back', x: 120, y: 380, wires: [['restore']] },
        { id: 'restore', type: 'dbackup-restore', ...at, ...target, x: 300, y: 380, wires: [[]] },
      ],
    };
  });
  after(() => servers?.stop());
  afterEach(() => assert.deepEqual(suite.editor.problems, []));

  const node = (id: string) => suite.editor.canvas.node(id);

  /** Asks for the test, which must fail without giving the secret away. */
  async function refused(storage: NodeForm, why: RegExp): Promise<void> {
    const { level, text } = await storage.ask('test');
    assert.equal(level, 'error', text);
    assert.match(text, why);
    assert.ok(!text.includes(WRONG));
  }

  async function accepted(storage: NodeForm): Promise<void> {
    const { level, text } = await storage.ask('test');
    assert.equal(level, 'ok', text);
  }

  /** Gives a storage its name, and closes its form and that of the destination. */
  async function finish(form: NodeForm, storage: NodeForm, name: string): Promise<void> {
    await storage.fill('name', name);
    await until(async () => (await storage.wrong()).length === 0);
    await storage.done();
    await until(async () => (await form.chosen('storage')) === name);
    await form.done();
  }

  it('SFTP shows the keys of a server that is not known, and a click trusts one', async () => {
    const { ssh } = servers;
    const form = await node('the-sftp').open();
    const storage = await form.addConfig('storage');
    for (const field of ['host', 'user', 'hostKeys']) await storage.marked(field);
    assert.deepEqual((await storage.wrong()).sort(), ['host', 'hostKeys', 'user']);
    assert.equal(await storage.reason('hostKeys'), 'Host keys: is missing');
    await storage.fill('host', ssh.host);
    await storage.fill('port', String(ssh.port));
    await storage.fill('user', ssh.user);
    await storage.fill('keyFile', ssh.key.file);
    await storage.fill('root', `${ssh.root}/editor`);

    const unknown = await storage.ask('test');
    assert.equal(unknown.level, 'warning', unknown.text);
    assert.match(unknown.text, /shows these keys. Compare them/);
    assert.deepEqual(await storage.list('hostKeys'), ['']);
    await storage.choice(ssh.hostKeys.ed25519).click();
    assert.deepEqual(await storage.list('hostKeys'), [ssh.hostKeys.ed25519]);
    await until(async () => (await storage.wrong()).length === 0);

    await refused(storage, /editor.*create it/);
    await storage.check('create', true);
    await accepted(storage);

    await storage.fillList('hostKeys', [`SHA256:${'B'.repeat(43)}`]);
    const other = await storage.ask('test');
    assert.equal(other.level, 'warning', other.text);
    assert.match(other.text, /other keys than those above/);
    await storage.fillList('hostKeys', [ssh.hostKeys.ed25519]);
    await finish(form, storage, 'My sftp');
  });

  it('SFTP signs in by a password, too, and warns of trust at first sight', async () => {
    const { ssh } = servers;
    const form = await node('the-sftp').open();
    const storage = await form.editConfig('storage');
    await storage.choose('auth', 'password');
    await storage.marked('password');
    assert.equal(await storage.row('keyFile').isVisible(), false);
    await storage.fill('password', WRONG);
    await refused(storage, /did not accept the password/);
    await storage.fill('password', ssh.password);
    await accepted(storage);

    const caution = storage.row('trustFirst').locator('.dbackup-caution:visible');
    assert.equal(await caution.count(), 0);
    await storage.fillList('hostKeys', ['']);
    await storage.marked('hostKeys');
    await storage.check('trustFirst', true);
    assert.match(await caution.innerText(), /Whoever answers the first time/);
    await until(async () => (await storage.wrong()).length === 0);
    await accepted(storage);
    await storage.check('trustFirst', false);
    await storage.marked('hostKeys');
    await storage.fillList('hostKeys', [ssh.hostKeys.rsa]);
    await accepted(storage);
    await finish(form, storage, 'My sftp');
  });

  it('SMB is set up, and tried until it works', async () => {
    const { samba } = servers;
    const form = await node('the-smb').open();
    const storage = await form.addConfig('storage');
    for (const field of ['host', 'share']) await storage.marked(field);
    assert.deepEqual((await storage.wrong()).sort(), ['host', 'share']);
    await storage.fill('host', samba.host);
    await storage.fill('share', 'store/backups');
    await storage.marked('share');
    await storage.fill('share', 'nothing');
    await storage.fill('root', 'editor');
    await storage.check('create', true);
    await storage.fill('user', samba.settings.user);
    await storage.fill('password', WRONG);
    await storage.unfold();
    await storage.fill('port', String(await freePort()));
    await refused(storage, /cannot be reached|nothing listens|refused/i);
    await storage.fill('port', String(samba.port));
    await refused(storage, /user.*password/);
    await storage.fill('password', samba.settings.password);
    await refused(storage, /nothing/);
    await storage.fill('share', samba.settings.share);
    await accepted(storage);

    const caution = storage.row('encryption').locator('.dbackup-caution:visible');
    await storage.choose('encryption', 'off');
    assert.match(await caution.innerText(), /readable by others/);
    await storage.choose('encryption', 'required');
    assert.equal(await caution.count(), 0);
    await finish(form, storage, 'My smb');
  });

  it('rsync over SSH shows the keys of a host, and is tried until it works', async () => {
    const { ssh } = servers;
    const form = await node('the-rsync').open();
    const storage = await form.addConfig('storage');
    for (const field of ['host', 'user', 'hostKeys']) await storage.marked(field);
    assert.deepEqual((await storage.wrong()).sort(), ['host', 'hostKeys', 'user']);
    await storage.choose('transport', 'ssh-password');
    await storage.fill('host', ssh.host);
    await storage.fill('port', String(ssh.port));
    await storage.fill('user', ssh.user);
    await storage.fill('password', WRONG);
    await storage.fill('root', `${ssh.root}/rsync`);
    const unknown = await storage.ask('test');
    assert.equal(unknown.level, 'warning', unknown.text);
    await storage.choice(ssh.hostKeys.ed25519).click();
    await until(async () => (await storage.wrong()).length === 0);
    await refused(storage, /did not accept the password/);
    await storage.fill('password', ssh.password);
    await refused(storage, /rsync.*create it/);
    await storage.check('create', true);
    await accepted(storage);
    await finish(form, storage, 'My rsync');
  });

  it('rsync warns of a daemon, which encrypts nothing, and tries that, too', async () => {
    const form = await node('the-rsync').open();
    const storage = await form.editConfig('storage');
    const caution = storage.row('transport').locator('.dbackup-caution:visible');
    assert.equal(await caution.count(), 0);
    await storage.choose('transport', 'daemon');
    assert.match(await caution.innerText(), /readable by others/);
    await storage.marked('module');
    assert.equal(await storage.row('hostKeys').isVisible(), false);
    const { port, settings } = servers.rsyncd;
    await storage.fill('port', String(port));
    await storage.fill('module', 'nothing');
    await storage.fill('user', settings.user ?? '');
    await storage.fill('password', WRONG);
    await storage.fill('root', 'editor');
    await refused(storage, /nothing/);
    await storage.fill('module', settings.module);
    await refused(storage, /user and password/);
    await storage.fill('password', settings.password ?? '');
    await accepted(storage);
    await storage.cancel();
    await form.cancel();
  });

  it('get the backup, all at once', async () => {
    assert.deepEqual(await suite.editor.canvas.invalid(), []);
    await suite.editor.deploy();
    await until(async () => (await suite.editor.canvas.statuses()).length === 0);
    await node('go').press();
    for (const id of DESTINATIONS) assert.match(await node(id).shows(/^✓|^✗/), /^✓/, id);
    const [set = ''] = readdirSync(join(servers.ssh.folder, 'editor', 'shop'));
    assert.match(set, /^\d{8}T\d{6}Z_/);
    assert.deepEqual(readdirSync(join(servers.samba.share, 'editor', 'shop')), [set]);
    assert.deepEqual(readdirSync(join(servers.ssh.folder, 'rsync', 'shop')), [set]);
  });

  it('are offered by their kinds where a set is restored from', async () => {
    for (const [group, name] of [
      ['SFTP storage', 'My sftp'],
      ['SMB storage', 'My smb'],
      ['rsync storage', 'My rsync'],
    ] as const) {
      const form = await node('restore').open();
      await form.choose('from', 'latest');
      assert.deepEqual((await form.configs('storage'))[group], [name]);
      await form.chooseConfig('storage', name);
      await form.choose('overwrite', 'replace');
      await until(async () => (await form.wrong()).length === 0);
      await form.done();
      await suite.editor.deploy();
      await node('back').press();
      assert.match(await node('restore').shows(/^✓|^✗/), /^✓/, name);
      compareDatabases(join(suite.folder, 'shop.sqlite'), join(suite.folder, 'restored.sqlite'));
    }
  });

  it('keep their secrets, which a test after the next start still knows', async () => {
    const { editor } = suite;
    await editor.reload();
    for (const id of DESTINATIONS) {
      const form = await node(id).open();
      const storage = await form.editConfig('storage');
      assert.match(await storage.input('password').inputValue(), /^(__PWRD__)?$/);
      await accepted(storage);
      await storage.cancel();
      await form.cancel();
    }
    const dialog = await editor.exportDialog();
    const text = await dialog.text();
    await dialog.cancel();
    for (const secret of [servers.ssh.password, servers.samba.settings.password]) {
      assert.ok(!text.includes(JSON.stringify(secret).slice(1, -1)));
    }
  });
});

function destination(kind: string, y: number): object {
  const settings = { storage: '', folder: '', rate: '', schemaVersion: 1 };
  return { id: `the-${kind}`, type: `dbackup-${kind}`, z: TAB.id, ...settings, x: 560, y, wires: [[]] };
}
