import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BackupError, type ErrorCode } from '../../lib/errors.ts';
import { ringFrom } from '../../lib/keys/ring.ts';
import { Vault } from '../../lib/keys/vault.ts';

const SECRET = 'the master secret of the tests';

function failsWith(code: ErrorCode, text: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof BackupError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, text);
    assert.ok(!`${error.stack}${String(error.cause)}`.includes(SECRET));
    return true;
  };
}

describe('vault', () => {
  let folder: string;
  let file: string;
  let vault: Vault;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dbackup-vault-'));
    file = join(folder, 'data', 'vault.json');
    vault = await Vault.create(file, SECRET);
  });

  after(async () => {
    await rm(folder, { recursive: true });
  });

  it('is readable by its owner only, and left without temporary files', async () => {
    await vault.createKey('mode');
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.equal((await stat(join(folder, 'data'))).mode & 0o777, 0o700);
    assert.deepEqual((await readdir(join(folder, 'data'))).sort(), ['vault.json', 'vault.json.lock']);
  });

  it('gives back each key by name, and by id and version', async () => {
    const key = await vault.createKey('main');
    assert.equal(key.key.length, 32);
    assert.equal(key.version, 1);
    assert.match(key.id, /^vk-[0-9a-f]{16}$/);
    const again = await Vault.open(file, SECRET);
    assert.deepEqual(await again.currentKey('main'), key);
    assert.deepEqual(await again.key(key.id, 1), key.key);
    assert.equal(await again.key(key.id, 2), undefined);
    assert.equal(await again.key('vk-0000000000000000', 1), undefined);
    assert.deepEqual(await ringFrom({ vault }).vaultKey(key.id, 1), key.key);
  });

  it('keeps old versions when a key gets a new one', async () => {
    const first = await vault.createKey('rotated');
    const second = await vault.addVersion('rotated');
    assert.equal(second.id, first.id);
    assert.equal(second.version, 2);
    assert.notDeepEqual(second.key, first.key);
    assert.deepEqual(await vault.currentKey('rotated'), second);
    assert.deepEqual(await vault.key(first.id, 1), first.key);
    const info = (await vault.listKeys()).find(({ name }) => name === 'rotated');
    assert.deepEqual(
      info?.versions.map(({ version }) => version),
      [1, 2],
    );
  });

  it('makes a key once, when it is first needed', async () => {
    const [one, other] = await Promise.all([vault.ensureKey('lazy'), vault.ensureKey('lazy')]);
    assert.deepEqual(one, other);
    assert.deepEqual(await vault.ensureKey('lazy'), one);
  });

  it('sees the keys that others add', async () => {
    const other = await Vault.open(file, SECRET);
    const key = await other.createKey('made elsewhere');
    assert.deepEqual(await vault.currentKey('made elsewhere'), key);
  });

  it('refuses taken names, odd names and unknown names', async () => {
    await vault.createKey('taken');
    await assert.rejects(vault.createKey('taken'), failsWith('already-exists', /'taken'/));
    for (const name of ['', ' x', '../x', 'a\nb', 'x'.repeat(65)]) {
      await assert.rejects(vault.createKey(name), failsWith('invalid-config', /no key name/));
    }
    await assert.rejects(vault.currentKey('nobody'), failsWith('missing-key', /'nobody'.*'taken'/));
    await assert.rejects(vault.addVersion('nobody'), failsWith('missing-key', /'nobody'/));
  });

  it('tells a wrong master secret, a missing and a damaged vault apart', async () => {
    await assert.rejects(Vault.open(file, `${SECRET}!`), failsWith('wrong-key', /master secret/));
    await assert.rejects(Vault.open(join(folder, 'none.json'), SECRET), failsWith('not-found', /none\.json/));
    const damaged = join(folder, 'damaged.json');
    for (const text of ['', '{"format"', '{}', '[]', 'null', '{"format":"dbackup-vault","version":1}']) {
      await writeFile(damaged, text);
      await assert.rejects(Vault.open(damaged, SECRET), failsWith('corrupt', /damaged/));
    }
    await writeFile(damaged, '{"format":"dbackup-vault","version":2}');
    await assert.rejects(Vault.open(damaged, SECRET), failsWith('invalid-config', /version 2/));
  });

  it('finds keys that were changed or moved to another id or version', async () => {
    const one = await vault.createKey('one');
    await vault.addVersion('one');
    await vault.createKey('two');
    const text = await readFile(file, 'utf8');
    const changes: ((keys: StoredKeys) => void)[] = [
      (keys) => swap(keys.one, 'id', keys.two),
      (keys) => swap(keys.one.versions[0], 'version', keys.one.versions[1]),
      (keys) => swap(keys.one.versions[0], 'wrapped', keys.two.versions[0]),
    ];
    for (const change of changes) {
      const copy = join(folder, 'changed.json');
      await writeFile(copy, changed(text, change));
      const opened = await Vault.open(copy, SECRET);
      await assert.rejects(opened.key(one.id, 1), failsWith('corrupt', /does not open/));
    }
  });

  it('refuses parameters that a hostile file could ask for', async () => {
    const hostile = join(folder, 'hostile.json');
    const text = await readFile(file, 'utf8');
    for (const cost of ['"logN": 30', '"logN": 300', '"logN": -1', '"logN": 1.5']) {
      await writeFile(hostile, text.replace(/"logN": \d+/, cost));
      await assert.rejects(Vault.open(hostile, SECRET), failsWith('corrupt', /damaged/));
    }
  });

  it('is not made twice, and not with a weak master secret', async () => {
    await assert.rejects(Vault.create(file, SECRET), failsWith('already-exists', /vault\.json/));
    await assert.rejects(
      Vault.create(join(folder, 'weak.json'), 'too short'),
      failsWith('invalid-config', /12 characters/),
    );
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.startsWith('weak')),
      [],
    );
  });

  it('is made by whoever comes first', async () => {
    const shared = join(folder, 'shared.json');
    const vaults = await Promise.all([1, 2, 3].map(() => Vault.openOrCreate(shared, SECRET)));
    const key = await vaults[0]?.createKey('main');
    for (const each of vaults) assert.deepEqual(await each.currentKey('main'), key);
  });

  it('loses no key when several add keys at once', async () => {
    const names = Array.from({ length: 12 }, (_, at) => `parallel ${at}`);
    await Promise.all(names.map((name) => vault.createKey(name)));
    const known = new Set((await vault.listKeys()).map(({ name }) => name));
    assert.deepEqual(
      names.filter((name) => !known.has(name)),
      [],
    );
  });
});

interface StoredKey {
  readonly name: string;
  readonly versions: Record<string, unknown>[];
}
type StoredKeys = Readonly<Record<'one' | 'two', StoredKey & Record<string, unknown>>>;

function changed(text: string, change: (keys: StoredKeys) => void): string {
  const document: { keys: (StoredKey & Record<string, unknown>)[] } = JSON.parse(text);
  const named = (name: string) => {
    const key = document.keys.find((candidate) => candidate.name === name);
    assert.ok(key);
    return key;
  };
  change({ one: named('one'), two: named('two') });
  return JSON.stringify(document);
}

function swap(
  one: Record<string, unknown> | undefined,
  field: string,
  other: Record<string, unknown> | undefined,
): void {
  assert.ok(one && other);
  [one[field], other[field]] = [other[field], one[field]];
}
