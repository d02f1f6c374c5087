import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compareDatabases, createDatabase } from '../fixtures/sqlite-database.ts';
import type { NodeForm } from '../support/editor/node-form.ts';
import { editorSuite } from '../support/editor/suite.ts';

describe('A person whose restore, verification or backup fails', function () {
  this.timeout(240_000);
  // Each test goes on where the one before it ended.
  this.bail(true);
  const suite = editorSuite((folder) => {
    createDatabase(join(folder, 'app.sqlite'), { megabytes: 1 });
    return {
      environment: {
        APP_DATABASE: join(folder, 'app.sqlite'),
        BACKUP_DIR: join(folder, 'disk'),
        BACKUP_DIR_2: join(folder, 'other-disk'),
        RESTORE_TO: join(folder, 'restored.sqlite'),
        DBACKUP_MASTER_KEY: 'a master key of the tests',
      },
    };
  });
  const inFolder = (...names: string[]) => join(suite.folder, ...names);
  afterEach(() => assert.deepEqual(suite.editor.problems, []));

  it('has a backup, and a flow to restore it', async () => {
    await importAndDeploy('01-quick-start');
    await press('Back up now');
    await shows('First disk', /^✓/, 'green');
    await shows('Second disk', /^✓/, 'green');
    await importAndDeploy('07-restore-latest');
  });

  it('is told which key opens the backup, when another one is chosen', async () => {
    await changeKey(async (form) => {
      const key = await form.addConfig('key');
      await key.choose('kind', 'passphrase');
      await key.fill('passphrase', 'quite another passphrase');
      await key.done();
    });
    await press('Restore now');
    await shows('restore', /^✗ The file opens with vault key vk-/, 'red');
    await saysError(/app\.sqlite\.zst\.dbk of set .*opens with vault key vk-\w+ version 1.*give/);
    assert.equal(existsSync(inFolder('restored.sqlite')), false);
  });

  it('is told that the master secret is wrong', async () => {
    await changeKey(async (form) => {
      const key = await form.editConfig('key');
      await key.choose('kind', 'vault');
      await key.fill('masterSecret', 'not the master secret');
      const { level, text } = await key.ask('test');
      assert.deepEqual([level, /master secret/.test(text)], ['error', true], text);
      await key.done();
    });
    await press('Restore now');
    await shows('restore', /^✗ .*master secret/, 'red');
    await saysError(/master secret/);
    assert.equal(existsSync(inFolder('restored.sqlite')), false);
  });

  it('restores with the right key', async () => {
    await changeKey(async (form) => {
      const key = await form.editConfig('key');
      await key.fill('masterSecret', '');
      await key.done();
    });
    await press('Restore now');
    await shows('restore', /^✓/, 'green');
    compareDatabases(inFolder('app.sqlite'), inFolder('restored.sqlite'));
  });

  it('is told that the file is there already', async () => {
    await press('Restore now');
    await shows('restore', /^✗ .*restored\.sqlite/, 'red');
    await saysError(/restored\.sqlite.*exists/);
  });

  it('is told which file of a backup is damaged', async () => {
    const [set = ''] = await readdir(inFolder('disk', 'app'));
    const file = inFolder('disk', 'app', set, 'app.sqlite.zst.dbk');
    const bytes = await readFile(file);
    bytes.writeUInt8(bytes.readUInt8(5000) ^ 1, 5000);
    await writeFile(file, bytes);
    await importAndDeploy('08-verify-after-backup');
    await press('Check the newest set');
    await shows('Check stored bytes', /^✗ 1 of 1 files of set app\//, 'red');
    await saysError(new RegExp(`1 of 1 files of set app/${set} did not pass: app\\.sqlite\\.zst\\.dbk`));
  });

  it('is told that the database is missing', async () => {
    await rename(inFolder('app.sqlite'), inFolder('moved.sqlite'));
    await press('Back up now');
    await shows('app', /^✗ .*app\.sqlite/, 'red');
    await shows('Backups', /^✗/, 'red');
    await saysError(/app\.sqlite/);
    assert.equal((await readdir(inFolder('disk', 'app'))).filter((name) => !name.startsWith('.')).length, 1);
  });

  async function importAndDeploy(template: string): Promise<void> {
    const dialog = await suite.editor.importDialog();
    await dialog.choose(template);
    await suite.editor.deploy();
  }

  async function changeKey(change: (form: NodeForm) => Promise<void>): Promise<void> {
    const form = await (await suite.editor.canvas.labelled('restore')).open();
    await change(form);
    await form.done();
    await suite.editor.deploy();
  }

  async function press(inject: string): Promise<void> {
    await suite.editor.sidebar.clear();
    await (await suite.editor.canvas.labelled(inject)).press();
  }

  async function shows(label: string, text: RegExp, color: string): Promise<void> {
    const node = await suite.editor.canvas.labelled(label);
    await node.shows(text);
    assert.equal(await node.statusColor(), color);
  }

  /** The Catch node of the template hands the error to its debug node. */
  async function saysError(text: RegExp): Promise<void> {
    assert.match(await suite.editor.sidebar.debugMessage('Errors'), text);
  }
});
