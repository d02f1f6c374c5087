import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import { isStored } from '../../lib/backupset/manifest.ts';
import type { BackupSet } from '../../lib/backupset/reader.ts';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import { EMPTY_KEY_RING, type KeyRing } from '../../lib/keys/keys.ts';
import { restoreArtifact } from '../../lib/restore/restore.ts';
import { openRestoreTarget } from '../../lib/restore/targets.ts';
import { verifySet } from '../../lib/restore/verify.ts';
import { compareDatabases, createDatabase } from '../fixtures/sqlite-database.ts';
import type { CanvasNode } from '../support/editor/canvas.ts';
import { editorSuite } from '../support/editor/suite.ts';

const PASSPHRASE = 'correct horse battery staple';
const KEYS: KeyRing = { ...EMPTY_KEY_RING, passphrases: [PASSPHRASE] };
const SUCCESS = /^✓ \d\d:\d\d · \d+(\.\d)? [kM]?B$/;
const { signal } = new AbortController();

describe('A person who builds a backup flow in the editor', function () {
  this.timeout(240_000);
  // Each test goes on where the one before it ended.
  this.bail(true);
  const suite = editorSuite((folder) => {
    createDatabase(join(folder, 'shop.sqlite'), { megabytes: 12 });
    createDatabase(join(folder, 'users.sqlite'), { megabytes: 1, seed: 2 });
    return {};
  });
  const nodes = new Map<string, CanvasNode>();
  const at = (name: string): CanvasNode => nodes.get(name) ?? assert.fail(`There is no node ${name}`);
  const disk = (name: string) => join(suite.folder, name);
  afterEach(() => assert.deepEqual(suite.editor.problems, []));

  it('finds the nodes in the palette', async () => {
    assert.deepEqual(await suite.editor.paletteLabels('backup'), [
      'schedule',
      'webhook',
      'run events',
      'postgres',
      'mysql',
      'sqlite',
      'compress',
      'encrypt',
      'checksum',
      'local',
      's3',
      'sftp',
      'webdav',
      'ftp',
      'smb',
      'rsync',
      'restore',
      'verify',
      'annotate',
      'retention',
      'guard',
      'email',
      'discord',
      'slack',
      'teams',
      'notify\nwebhook',
      'jobs',
    ]);
  });

  it('drags them onto the canvas and wires them', async () => {
    const { canvas } = suite.editor;
    const places = {
      inject: ['inject', 160, 100],
      source: ['dbackup-sqlite', 340, 100],
      compress: ['dbackup-compress', 520, 100],
      encrypt: ['dbackup-encrypt', 700, 100],
      first: ['dbackup-local', 880, 60],
      second: ['dbackup-local', 880, 160],
      debug: ['debug', 880, 260],
    } as const;
    for (const [name, [type, x, y]] of Object.entries(places)) {
      nodes.set(name, await canvas.add(type, { x, y }));
    }
    await canvas.wire(at('inject'), at('source'));
    await canvas.wire(at('source'), at('compress'));
    await canvas.wire(at('compress'), at('encrypt'));
    for (const destination of ['first', 'second']) {
      await canvas.wire(at('encrypt'), at(destination));
      await canvas.wire(at(destination), at('debug'));
    }
    assert.deepEqual((await canvas.invalid()).sort(), ['encrypt', 'local', 'local', 'sqlite']);
  });

  it('says which databases are meant, and sees them listed', async () => {
    const form = await at('source').open();
    await form.fill('job', 'shop');
    await form.fillList('files', [disk('shop.sqlite'), disk('users.sqlite')]);
    const { level, text, rows } = await form.ask('databases');
    assert.equal(level, 'ok');
    assert.match(text, /^2 databases, 1\d MB$/);
    assert.deepEqual(
      rows.map(([name]) => name),
      ['shop.sqlite', 'users.sqlite'],
    );
    for (const [, size = ''] of rows) assert.match(size, /^[\d.]+ MB$/);

    await form.fillList('files', [disk('shop.sqlite'), disk('gone.sqlite')]);
    const warned = await form.ask('databases');
    assert.equal(warned.level, 'warning');
    assert.deepEqual(warned.notes, [`There is no file ${disk('gone.sqlite')}`]);
    assert.deepEqual(
      warned.rows.map(([name, size]) => [name, size !== '']),
      [
        ['shop.sqlite', true],
        ['gone.sqlite', false],
      ],
    );
    await form.fillList('files', [disk('shop.sqlite'), disk('users.sqlite')]);
    await form.done();
  });

  it('makes a key for the encryption, and has it checked', async () => {
    const form = await at('encrypt').open();
    const key = await form.addConfig('key');
    await key.fill('name', 'Shop key');
    await key.choose('kind', 'passphrase');
    await key.fill('passphrase', PASSPHRASE);
    const { level, text } = await key.ask('test');
    assert.deepEqual([level, text], ['ok', 'The passphrase can be used.']);
    await key.done();
    await form.done();
  });

  it('makes two storages, and has their connection tested', async () => {
    for (const name of ['first', 'second']) {
      const form = await at(name).open();
      const storage = await form.addConfig('storage');
      await storage.fill('name', `The ${name} disk`);
      await storage.fill('root', disk(`${name}-disk`));
      const refused = await storage.ask('test');
      assert.equal(refused.level, 'error');
      assert.ok(refused.text.includes(disk(`${name}-disk`)), refused.text);
      assert.match(refused.text, /does not exist/);
      await storage.check('create', true);
      const { level, text } = await storage.ask('test');
      assert.equal(level, 'ok', text);
      assert.match(text, /\d+(\.\d)? [GT]B free/);
      await storage.done();
      await form.done();
    }
    assert.deepEqual(await suite.editor.canvas.invalid(), []);
    assert.equal(await at('first').label.textContent(), 'The first disk');
  });

  it('deploys, presses the button, and sees both destinations succeed', async () => {
    const { editor } = suite;
    await editor.deploy();
    await at('inject').press();
    for (const name of ['source', 'first', 'second']) {
      assert.match(await at(name).shows(/[✓✗]/), SUCCESS);
      assert.equal(await at(name).statusColor(), 'green');
    }
    assert.equal(await editor.sidebar.debugMessages().count(), 2);
    assert.doesNotMatch(suite.server.output, /\[(error|warn)\] \[dbackup/);
  });

  it('finds the same complete backup set on both disks', async () => {
    const [one, other] = [await newestSet('first-disk'), await newestSet('second-disk')];
    assert.equal(one.path, other.path);
    const names = await readdir(disk(`first-disk/${one.path}`));
    assert.deepEqual(names.sort(), [
      'RESTORE.md',
      'SHA256SUMS',
      'SHA256SUMS.decoded',
      'manifest.json',
      'shop.sqlite.zst.dbk',
      'users.sqlite.zst.dbk',
    ]);
    assert.deepEqual((await readdir(disk(`second-disk/${one.path}`))).sort(), names);
    for (const name of names) {
      const first = await readFile(disk(`first-disk/${one.path}/${name}`));
      assert.ok(first.equals(await readFile(disk(`second-disk/${one.path}/${name}`))), name);
    }
  });

  it('can restore what was stored', async () => {
    for (const root of ['first-disk', 'second-disk']) {
      const set = await newestSet(root);
      const { ok, artifacts } = await verifySet({ set, level: 'content', keys: KEYS, signal });
      assert.deepEqual([ok, artifacts.length], [true, 2], JSON.stringify(artifacts));
      for (const artifact of set.manifest.artifacts.filter(isStored)) {
        const restored = disk(`${root}-${artifact.database}`);
        const target = openRestoreTarget(artifact, { to: restored, overwrite: 'refuse', safetyCopy: false });
        await restoreArtifact({ set, artifact, target, keys: KEYS, signal });
        compareDatabases(disk(artifact.database), restored);
      }
    }
  });

  it('limits the rate, and watches a backup on its way', async () => {
    for (const name of ['first', 'second']) {
      const form = await at(name).open();
      await form.unfold();
      await form.fill('rate', '2');
      await form.done();
    }
    await suite.editor.deploy();
    const before = await newestSet('first-disk');
    const [source, first] = [await at('source').watchStatus(), await at('first').watchStatus()];
    await at('inject').press();
    await at('first').shows(/▶/);
    for (const name of ['first', 'second']) {
      assert.match(await at(name).shows(/[✓✗]/), SUCCESS);
    }
    assert.ok(
      (await source()).some((text) => /^▶ 1\/2 · \d+ % · [\d.]+ [kM]B · [\d.]+ [kM]B\/s$/.test(text)),
    );
    assert.ok((await first()).some((text) => /^▶ [\d.]+ [kM]B$/.test(text)));
    assert.notEqual((await newestSet('first-disk')).path, before.path);
  });

  async function newestSet(root: string): Promise<BackupSet> {
    const driver = createLocalDestination({ root: disk(root) });
    const { sets, unreadable } = await listBackupSets(driver, { prefix: '', job: 'shop', signal });
    assert.deepEqual(unreadable, []);
    const [newest] = sets;
    assert.ok(newest, `There is no set on ${root}`);
    return newest;
  }
});
