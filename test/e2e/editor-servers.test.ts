import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { startPostgres, type TestPostgres } from '../servers/postgres.ts';
import { importText } from '../support/editor/flow-dialogs.ts';
import type { NodeForm } from '../support/editor/node-form.ts';
import { editorSuite } from '../support/editor/suite.ts';
import { until } from '../support/until.ts';

const TAB = { id: 'the-tab', type: 'tab', label: 'Test', disabled: false, info: '' };
const at = { z: 'the-tab', schemaVersion: 1 };

describe('A database server in the editor', function () {
  this.timeout(240_000);
  // Each test goes on where the one before it ended.
  this.bail(true);
  let postgres: TestPostgres;
  const suite = editorSuite(async (folder) => {
    postgres = await startPostgres();
    for (const name of ['shop', 'odd*name']) await postgres.query(`CREATE DATABASE "${name}"`);
    return {
      flow: [
        TAB,
        {
          id: 'the-go',
          type: 'inject',
          ...at,
          name: 'go',
          props: [],
          repeat: '',
          crontab: '',
          once: false,
          x: 120,
          y: 80,
          wires: [['the-source']],
        },
        {
          id: 'the-source',
          type: 'dbackup-postgres',
          ...at,
          job: 'shop',
          server: '',
          databases: ['*'],
          exclude: [],
          x: 300,
          y: 80,
          wires: [['the-local']],
        },
        {
          id: 'the-local',
          type: 'dbackup-local',
          ...at,
          storage: 'the-disk',
          folder: '',
          rate: '',
          x: 500,
          y: 80,
          wires: [[]],
        },
        {
          id: 'the-restore',
          type: 'dbackup-restore',
          ...at,
          from: 'latest',
          storage: 'the-disk',
          job: 'shop',
          x: 300,
          y: 180,
          wires: [[]],
        },
        {
          id: 'the-disk',
          type: 'dbackup-local-storage',
          name: 'Disk',
          root: join(folder, 'disk'),
          create: true,
          reserveMiB: 0,
          schemaVersion: 1,
        },
      ],
    };
  });
  after(() => postgres?.stop());
  afterEach(() => assert.deepEqual(suite.editor.problems, []));

  const node = (id: string) => suite.editor.canvas.node(id);

  async function fillServer(form: NodeForm, password: string): Promise<void> {
    const { host, port, user } = postgres.settings;
    await form.fill('name', 'Shop server');
    await form.fill('host', host);
    await form.fill('port', String(port));
    await form.fill('user', user);
    await form.fill('password', password);
  }

  it('is tested while its form is open: a wrong password, then the right one', async () => {
    assert.deepEqual(await suite.editor.canvas.invalid(), ['shop']);
    const form = await node('the-source').open();
    const server = await form.addConfig('server');
    await fillServer(server, 'this is not it');
    const wrong = await server.ask('test');
    assert.equal(wrong.level, 'error');
    assert.match(wrong.text, /password/);
    await server.fill('password', postgres.password);
    const right = await server.ask('test');
    assert.notEqual(right.level, 'error', right.text);
    assert.match(right.text, /15\.\d+.*pg_dump/);
    await server.done();
    await until(async () => (await form.chosen('server')) === 'Shop server');
    await form.done();
  });

  it('lists its databases before it is deployed, and a click chooses one', async () => {
    const form = await node('the-source').open();
    const { level, text, rows } = await form.ask('databases');
    assert.equal(level, 'ok', text);
    assert.match(text, /^3 of 3 databases would be dumped, /);
    assert.deepEqual(rows.map(([name]) => name?.trim()).sort(), ['odd*name', 'postgres', 'shop']);
    await form.choice('odd*name').click();
    assert.deepEqual(await form.list('databases'), [String.raw`odd\*name`], 'in place of everything');
    await form.choice('shop').click();
    assert.deepEqual(await form.list('databases'), [String.raw`odd\*name`, 'shop']);
    assert.equal(await form.choice('shop').getAttribute('aria-pressed'), 'true');
    await form.choice('odd*name').click();
    assert.deepEqual(await form.list('databases'), ['shop']);
    assert.equal(await form.choice('odd*name').getAttribute('aria-pressed'), 'false');
    assert.match((await form.ask('databases')).text, /^1 of 3 databases/);
    await form.done();
    assert.deepEqual(await suite.editor.canvas.invalid(), []);
  });

  it('is asked with the kept password after the deploy, and backed up', async () => {
    await suite.editor.deploy();
    await suite.editor.reload();
    const form = await node('the-source').open();
    assert.deepEqual(await form.list('databases'), ['shop']);
    assert.match((await form.ask('databases')).text, /^1 of 3 databases/);
    await form.cancel();
    await node('the-go').press();
    assert.match(await node('the-local').shows(/^✓|^✗/), /^✓/);
    assert.ok(existsSync(join(suite.folder, 'disk', 'shop')));
  });

  it('may be of either engine where a dump is restored: the + asks which', async () => {
    const form = await node('the-restore').open();
    assert.deepEqual(await form.configs('server'), { 'PostgreSQL server': ['Shop server'] });
    const server = await form.addConfigOf('server', 'MySQL/MariaDB server');
    assert.equal(await server.input('port').inputValue(), '3306');
    await server.fill('name', 'Other server');
    assert.deepEqual(await server.wrong(), ['user']);
    await server.fill('user', 'me');
    await server.done();
    await until(async () => (await form.chosen('server')) === 'Other server');
    assert.deepEqual(await form.configs('server'), {
      'PostgreSQL server': ['Shop server'],
      'MySQL/MariaDB server': ['Other server'],
    });
    await form.done();

    const again = await node('the-restore').open();
    assert.equal(await again.chosen('server'), 'Other server');
    const edited = await again.editConfig('server');
    assert.equal(await edited.input('port').inputValue(), '3306', 'the form of its own type');
    await edited.fill('user', '');
    await edited.done();
    await until(async () => (await again.wrong()).join() === 'server');
    assert.equal(await again.reason('server'), 'Server: is missing or not fully set up');
    const better = await again.editConfig('server');
    await better.fill('user', 'me');
    await better.done();
    await until(async () => (await again.wrong()).length === 0);
    await again.done();
    assert.equal(await node('the-restore').isInvalid(), false);
  });

  it('of the second type goes with an exported flow, and comes back with it', async () => {
    const { editor } = suite;
    await editor.deploy();
    const dialog = await editor.exportDialog();
    const text = await dialog.text();
    await dialog.cancel();
    const exported = JSON.parse(text) as { id: string; type: string; name?: string; server?: string }[];
    const server = exported.find(({ type }) => type === 'dbackup-mysql-server');
    assert.equal(server?.name, 'Other server');
    assert.equal(exported.find(({ id }) => id === 'the-restore')?.server, server?.id);
    assert.ok(!text.includes(postgres.password));

    // Under other ids it is another flow: everything in it must refer to what came with it.
    const ids = exported.map(({ id }) => id).filter((id) => id !== '');
    let copy = text;
    for (const id of ids) copy = copy.replaceAll(`"${id}"`, `"copy-${id}"`);
    await importText(editor.page, copy.replaceAll('Other server', 'Imported server'));
    await until(async () => (await editor.canvas.ids()).includes('copy-the-restore'));
    assert.deepEqual([await editor.canvas.unknown(), await editor.canvas.invalid()], [[], []]);
    const form = await node('copy-the-restore').open();
    assert.equal(await form.chosen('server'), 'Imported server');
    const config = await form.editConfig('server');
    assert.equal(await config.input('user').inputValue(), 'me');
    await config.cancel();
    await form.cancel();
  });
});
