import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Manifest, StoredArtifact } from '../../lib/backupset/manifest.ts';
import { restoreGuide } from '../../lib/backupset/restore-guide.ts';
import { sumsFiles } from '../../lib/backupset/sums.ts';
import { DigestTap } from '../../lib/bytes/digest.ts';
import { writeRecoveryKit } from '../../lib/keys/recovery-kit.ts';
import { Vault } from '../../lib/keys/vault.ts';
import type { SourceDriver } from '../../lib/sources/driver.ts';
import { createChecksum } from '../../lib/transforms/checksum.ts';
import { createCompress } from '../../lib/transforms/compress.ts';
import { createEncrypt } from '../../lib/transforms/encrypt.ts';
import { extensionOf } from '../../lib/transforms/inverse.ts';
import type { Transform } from '../../lib/transforms/transform.ts';
import { collect, cut, sha256, sqlText } from '../support/byte-streams.ts';
import { runEngine, useLocalFolders } from '../support/engine-run.ts';
import { AGE_IDENTITY, AGE_KEY, PASSPHRASE, PASSPHRASE_KEY } from '../support/keys.ts';
import { sampleManifest } from '../support/sample-manifest.ts';
import { ScriptedSource } from '../support/scripted-source.ts';
import { typeAtPrompts } from '../support/terminal.ts';

const MIB = 1024 * 1024;
const never = new AbortController().signal;

/** The shell blocks of the guide, in order. */
function blocksOf(guide: string): string[] {
  return [...guide.matchAll(/```sh\n(.*?)```/gs)].map(([, block]) => block ?? '');
}

describe('RESTORE.md, followed to the letter', () => {
  const folder = useLocalFolders();
  let kit: string;
  let vault: Vault;

  before(async () => {
    kit = await mkdtemp(join(tmpdir(), 'dbackup-guide-kit-'));
    vault = await Vault.create(join(kit, 'vault.json'), 'a master secret for guides');
    await vault.createKey('main');
    await writeRecoveryKit({
      directory: join(kit, 'kit'),
      vault,
      keys: 'all',
      identities: [AGE_IDENTITY],
      protection: { type: 'plain' },
    });
  });

  after(async () => {
    await rm(kit, { recursive: true });
  });

  const zstd = () => createCompress({ algorithm: 'zstd' });
  const gzip = () => createCompress({ algorithm: 'gzip' });
  const brotli = () => createCompress({ algorithm: 'brotli', level: 2 });
  const sha512 = () => createChecksum({ algorithm: 'sha512' });
  const blake = () => createChecksum({ algorithm: 'blake2b512' });
  const age = () => createEncrypt(AGE_KEY, { format: 'age' });
  const passphrase = () => createEncrypt(PASSPHRASE_KEY, { format: 'dbk' });
  const vaultKey = async () => {
    const [info] = await vault.listKeys();
    assert.ok(info !== undefined);
    const version = info.versions.at(-1)?.version ?? 1;
    const key = await vault.key(info.id, version);
    assert.ok(key !== undefined);
    return createEncrypt({ type: 'vault', id: info.id, version, key }, { format: 'dbk' });
  };

  /** The set in a folder of its own, with what the guide says a person must put there, and nothing else. */
  async function setFolder(source: SourceDriver, transforms: readonly Transform[]): Promise<string> {
    const a = await folder();
    const steps = transforms.map((transform, index) => ({ node: `t${index}`, transform }));
    const { outcomes } = await runEngine(source, [{ to: a.driver, name: 'a', steps }]);
    const outcome = outcomes.get('a');
    assert.ok(outcome?.status === 'fulfilled');
    const set = join(a.root, 'sets', outcome.value.reference.path);
    await addKit(set);
    return set;
  }

  async function addKit(set: string): Promise<void> {
    const guide = await readFile(join(set, 'RESTORE.md'), 'utf8');
    for (const file of ['dbackup-decrypt.mjs', 'dbackup-keys.json', 'age-identities.txt']) {
      if (guide.includes(file)) await cp(join(kit, 'kit', file), join(set, file));
    }
  }

  function follow(set: string, guide: string): void {
    for (const block of blocksOf(guide)) {
      const env = { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', DBACKUP_PASSPHRASE: PASSPHRASE };
      const { status, stdout, stderr } = spawnSync('sh', ['-e', '-c', block], {
        cwd: set,
        env,
        encoding: 'utf8',
        input: '',
      });
      assert.equal(status, 0, `${block}\n${stdout}\n${stderr}\n${guide}`);
    }
  }

  const chains: Record<string, () => Promise<Transform[]>> = {
    'nothing at all': async () => [],
    'checksums alone': async () => [sha512(), blake()],
    zstd: async () => [zstd()],
    'gzip, age': async () => [gzip(), age()],
    'zstd, .dbk with a vault key': async () => [blake(), zstd(), sha512(), await vaultKey(), blake()],
    'brotli, .dbk with a passphrase': async () => [brotli(), passphrase(), sha512()],
    'age over .dbk over gzip': async () => [gzip(), await vaultKey(), blake(), age()],
    'a compression of a compression': async () => [gzip(), zstd()],
  };

  for (const [name, transforms] of Object.entries(chains)) {
    it(`gives back every database behind ${name}`, async () => {
      const source = new ScriptedSource(
        { name: 'orders', bytes: 3 * MIB + 5 },
        { name: 'empty', bytes: 0 },
        { name: `it's "so" $(big) & naïve`, bytes: MIB },
        { name: '-rf ../*', bytes: 10 },
      );
      const set = await setFolder(source, await transforms());
      follow(set, await readFile(join(set, 'RESTORE.md'), 'utf8'));
      const { artifacts } = JSON.parse(await readFile(join(set, 'manifest.json'), 'utf8')) as Manifest;
      assert.equal(artifacts.length, 4);
      for (const artifact of artifacts as StoredArtifact[]) {
        const expected = ScriptedSource.contentOf(artifact.database, artifact.raw.bytes);
        assert.equal(sha256(await readFile(join(set, artifact.rawFile))), sha256(expected), artifact.rawFile);
      }
    });
  }

  it('quotes whatever name a file has', async () => {
    const names = [`it's`, 'a "b" c', '$(touch pwned)', '-rf', '--help', 'naïve ☃', '`id`;ls', '*?[x]'];
    const set = await mkdtemp(join(tmpdir(), 'dbackup-guide-'));
    try {
      const transforms = [zstd(), age(), await vaultKey()];
      const artifacts: StoredArtifact[] = [];
      for (const name of names) artifacts.push(await storeFile(set, `${name}.txt`, transforms));
      const manifest: Manifest = { ...sampleManifest(), artifacts };
      const guide = restoreGuide(manifest);
      for (const { name, text } of [guide, ...sumsFiles(manifest)]) await writeFile(join(set, name), text);
      await addKit(set);
      follow(set, guide.text);
      for (const { rawFile } of artifacts) {
        assert.equal(sha256(await readFile(join(set, rawFile))), sha256(sqlText(50_000)), rawFile);
      }
      assert.ok(!(await readdir(set)).includes('pwned'));
    } finally {
      await rm(set, { recursive: true });
    }
  });

  it('opens an age file with a passphrase that is typed', async () => {
    const set = await setFolder(new ScriptedSource({ name: 'one', bytes: 100_000 }), [
      createEncrypt(PASSPHRASE_KEY, { format: 'age' }),
    ]);
    const [check = '', undo = ''] = blocksOf(await readFile(join(set, 'RESTORE.md'), 'utf8'));
    assert.match(check, /sha256sum -c SHA256SUMS/);
    const { code, shown } = await typeAtPrompts(['sh', '-e', '-c', `cd '${set}'\n${undo}`], [PASSPHRASE]);
    assert.equal(code, 0, shown);
    assert.equal(
      sha256(await readFile(join(set, 'one.txt'))),
      sha256(ScriptedSource.contentOf('one', 100_000)),
    );
  });

  it('checks a SQLite database with its own shell', async () => {
    const home = await mkdtemp(join(tmpdir(), 'dbackup-guide-'));
    try {
      const path = join(home, 'shop.sqlite');
      const database = new Database(path);
      database.exec('CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)');
      database.close();
      const bytes = await readFile(path);
      const scripted = new ScriptedSource({ name: 'shop', bytes: 1 });
      const source: SourceDriver = {
        kind: 'sqlite',
        describe: () => 'a test',
        probe: () => scripted.probe(),
        listDatabases: async () => [{ id: 'shop', name: 'shop' }],
        dump: async () => ({
          stream: cut(bytes, 4096),
          proof: Promise.resolve({ statement: 'all of it', facts: {}, warnings: [] }),
          format: 'sqlite3',
          extension: '.sqlite',
          version: '3',
        }),
      };
      const set = await setFolder(source, [zstd()]);
      const guide = await readFile(join(set, 'RESTORE.md'), 'utf8');
      assert.match(guide, /integrity_check/);
      follow(set, guide);
      assert.equal(sha256(await readFile(join(set, 'shop.sqlite'))), sha256(bytes));
    } finally {
      await rm(home, { recursive: true });
    }
  });

  it('finds a damaged file at its first block', async () => {
    const set = await setFolder(new ScriptedSource({ name: 'one', bytes: MIB }), [zstd()]);
    const file = join(set, 'one.txt.zst');
    const bytes = await readFile(file);
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    await writeFile(file, bytes);
    const [check = ''] = blocksOf(await readFile(join(set, 'RESTORE.md'), 'utf8'));
    assert.notEqual(spawnSync('sh', ['-e', '-c', check], { cwd: set }).status, 0);
  });

  /** Stores one file as the engine would, but under a name that the engine would never choose. */
  async function storeFile(
    set: string,
    rawFile: string,
    transforms: readonly Transform[],
  ): Promise<StoredArtifact> {
    await mkdir(set, { recursive: true });
    const raw = sqlText(50_000);
    const passes = [];
    let stream: AsyncIterable<Buffer> = cut(raw, 10_000);
    for (const transform of transforms) {
      const pass = transform.forward(stream, never);
      passes.push(pass);
      stream = pass.output;
    }
    const tap = new DigestTap(stream);
    const content = await collect(tap);
    const steps = passes.map((pass) => pass.record());
    const file = rawFile + steps.map(extensionOf).join('');
    await writeFile(join(set, file), content);
    const [sample] = sampleManifest().artifacts;
    assert.ok(sample?.status === 'ok');
    return {
      ...sample,
      source: 'scripted',
      format: 'scripted',
      database: rawFile,
      file,
      rawFile,
      steps,
      raw: { bytes: raw.length, sha256: sha256(raw) },
      stored: { bytes: tap.bytes, sha256: tap.sha256() },
    };
  }
});
