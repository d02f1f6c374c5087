import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sampleFlow, sampleId } from '../support/editor/sample-flow.ts';
import { editorSuite } from '../support/editor/suite.ts';
import { watchTraffic } from '../support/editor/traffic.ts';

const PASSPHRASE = 'only-for-those-who-may-know';

describe('A secret that was typed into a form', function () {
  this.timeout(240_000);
  const suite = editorSuite(() => ({ flow: sampleFlow() }));

  before('type a passphrase and deploy', async () => {
    const { editor } = suite;
    const form = await editor.canvas.node(sampleId('dbackup-encrypt')).open();
    const key = await form.editConfig('key');
    await key.choose('kind', 'passphrase');
    assert.deepEqual((await key.wrong()).sort(), ['kind', 'passphrase']);
    assert.equal(await key.reason('passphrase'), 'Passphrase: is missing');
    await key.fill('passphrase', 'short');
    assert.equal(await key.reason('passphrase'), 'Passphrase: must have at least 12 characters');
    await key.fill('passphrase', PASSPHRASE);
    assert.deepEqual(await key.wrong(), []);
    await key.done();
    await form.done();
    await editor.deploy();
  });
  afterEach(() => assert.deepEqual(suite.editor.problems, []));

  it('stays on the server, which can use it', async () => {
    const { editor } = suite;
    const sent = watchTraffic(editor.page);
    await editor.reload();
    const form = await editor.canvas.node(sampleId('dbackup-encrypt')).open();
    const key = await form.editConfig('key');
    assert.equal(await key.input('passphrase').getAttribute('type'), 'password');
    assert.match(await key.input('passphrase').inputValue(), /^(__PWRD__)?$/);
    assert.deepEqual(await key.wrong(), []);
    assert.equal((await key.ask('test')).text, 'The passphrase can be used.');
    await key.cancel();
    await form.cancel();

    const all = await sent();
    const told = all.filter((text) => text.includes('has_passphrase'));
    assert.equal(told.length, 1, 'The form asks whether there is one');
    for (const text of all) assert.ok(!text.includes(PASSPHRASE), text);
  });

  it('is not in an exported flow', async () => {
    const dialog = await suite.editor.exportDialog();
    const text = await dialog.text();
    await dialog.cancel();
    const nodes = JSON.parse(text) as { id: string; kind?: string }[];
    assert.equal(nodes.find(({ id }) => id === sampleId('dbackup-key'))?.kind, 'passphrase');
    assert.ok(!text.includes(PASSPHRASE));
    assert.ok(!text.includes('masterSecret'));
  });

  it('is in no file and not in the log', async () => {
    const userDir = join(suite.folder, 'user');
    const names = (await readdir(userDir)).filter((name) => /^[^.].*\.json$|^\.config.*\.json$/.test(name));
    assert.ok(names.includes('flows_cred.json'));
    for (const name of names) {
      assert.ok(!(await readFile(join(userDir, name), 'utf8')).includes(PASSPHRASE), name);
    }
    assert.ok(!suite.server.output.includes(PASSPHRASE));
  });
});
