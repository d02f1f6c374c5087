import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import { isStored } from '../../lib/backupset/manifest.ts';
import { findArtifact, openBackupSet } from '../../lib/backupset/reader.ts';
import type { KeyRing } from '../../lib/keys/keys.ts';
import { readRaw } from '../../lib/restore/raw-stream.ts';
import { verifySet } from '../../lib/restore/verify.ts';
import { createChecksum } from '../../lib/transforms/checksum.ts';
import { createCompress } from '../../lib/transforms/compress.ts';
import { createEncrypt } from '../../lib/transforms/encrypt.ts';
import { collect, sha256 } from '../support/byte-streams.ts';
import { filesBelow, runEngine, useLocalFolders } from '../support/engine-run.ts';
import { ScriptedSource } from '../support/scripted-source.ts';

const MIB = 1024 * 1024;
const signal = new AbortController().signal;

describe('engine: one pass over real local destinations', () => {
  const folder = useLocalFolders();

  const vaultKey = randomBytes(32);
  const keys: KeyRing = { vaultKey: async () => vaultKey, passphrases: [], ageIdentities: [] };
  const compress = () => ({ node: 'zstd', transform: createCompress({ algorithm: 'zstd', level: 3 }) });
  const encrypt = () => ({
    node: 'encrypt',
    transform: createEncrypt({ type: 'vault', id: 'k1', version: 1, key: vaultKey }, { format: 'dbk' }),
  });
  const checksum = (node: string) => ({ node, transform: createChecksum({ algorithm: 'sha512' }) });

  it('stores identical sets at two destinations behind the same steps, from one dump', async () => {
    const [a, b] = [await folder(), await folder()];
    const source = new ScriptedSource({ name: 'orders', bytes: 5 * MIB });
    const steps = [compress(), encrypt()];
    const { result } = await runEngine(source, [
      { to: a.driver, name: 'a', steps },
      { to: b.driver, name: 'b', steps },
    ]);
    assert.equal(result.state, 'succeeded');
    assert.equal(source.dumps.get('orders'), 1);
    const files = await filesBelow(a.root);
    assert.deepEqual(files, await filesBelow(b.root));
    assert.equal(files.length, 5, files.join());
    for (const file of files) {
      const both = await Promise.all([a, b].map(({ root }) => readFile(join(root, file))));
      assert.equal(sha256(both[0] ?? Buffer.alloc(0)), sha256(both[1] ?? Buffer.alloc(1)), file);
    }
  });

  it('gives back the exact bytes of every branch of a forked plan', async () => {
    const [plain, zipped, sealed] = [await folder(), await folder(), await folder()];
    const source = new ScriptedSource({ name: 'orders', bytes: 3 * MIB + 17 });
    const zstd = compress();
    const { result } = await runEngine(source, [
      { to: plain.driver, name: 'plain' },
      { to: zipped.driver, name: 'zipped', steps: [checksum('before'), zstd] },
      { to: sealed.driver, name: 'sealed', steps: [checksum('before'), zstd, encrypt(), checksum('after')] },
    ]);
    assert.equal(result.state, 'succeeded');
    assert.equal(source.dumps.get('orders'), 1);
    const expected = ScriptedSource.contentOf('orders', 3 * MIB + 17);
    for (const { driver } of [plain, zipped, sealed]) {
      const { sets } = await listBackupSets(driver, { prefix: 'sets', signal });
      const [set] = sets;
      assert.ok(set !== undefined && sets.length === 1);
      const artifact = findArtifact(set, 'orders');
      const raw = await collect(readRaw({ set, artifact, keys, signal }));
      assert.equal(Buffer.compare(raw, expected), 0);
      for (const level of ['manifest', 'hash', 'content'] as const) {
        const report = await verifySet({ set, level, keys, signal });
        assert.ok(report.ok, JSON.stringify(report));
      }
    }
    const files = (await filesBelow(sealed.root)).map((file) => file.split('/').at(-1));
    assert.ok(files.includes('SHA512SUMS') && files.includes('SHA512SUMS.decoded'), files.join());
  });

  it('stores several sources of one run in one set, each with the steps that follow it', async () => {
    const a = await folder();
    const first = new ScriptedSource({ name: 'orders', bytes: MIB }, { name: 'Orders', bytes: MIB });
    const second = new ScriptedSource({ name: 'files', bytes: 2 * MIB });
    const { result } = await runEngine([first, second], [{ to: a.driver, name: 'a', steps: [compress()] }]);
    assert.equal(result.state, 'succeeded');
    const { sets } = await listBackupSets(a.driver, { prefix: 'sets', job: 'shop', signal });
    const artifacts = sets[0]?.manifest.artifacts.filter(isStored) ?? [];
    assert.deepEqual(
      artifacts.map(({ file }) => file),
      ['orders.txt.zst', 'Orders-2.txt.zst', 'files.txt.zst'],
    );
  });

  it('keeps the good databases of a run in which one fails (partial)', async () => {
    const a = await folder();
    const source = new ScriptedSource(
      { name: 'one', bytes: MIB },
      { name: 'two', bytes: 4 * MIB, diesAfter: 3 * MIB },
      { name: 'three', bytes: MIB, refusesToStart: true },
      { name: 'four', bytes: MIB, proofFails: true },
      { name: 'five', bytes: 0 },
    );
    const { result, outcomes } = await runEngine(source, [{ to: a.driver, name: 'a', steps: [compress()] }]);
    assert.equal(result.state, 'partial');
    const outcome = outcomes.get('a');
    assert.ok(outcome?.status === 'fulfilled');
    assert.equal(outcome.value.reference.status, 'partial');
    const set = await openBackupSet(a.driver, `sets/${outcome.value.reference.path}`, signal);
    assert.deepEqual(
      set.manifest.artifacts.map(({ database, status }) => `${database} ${status}`),
      ['one ok', 'two failed', 'three failed', 'four failed', 'five ok'],
    );
    const stored = (await filesBelow(a.root)).filter((file) => file.endsWith('.zst'));
    assert.deepEqual(
      stored.map((file) => file.split('/').at(-1)),
      ['five.txt.zst', 'one.txt.zst'],
    );
    assert.throws(() => findArtifact(set, 'two'), /The dump of two failed in set .*: two died/);
  });

  it('leaves no trace of a run in which every database fails', async () => {
    const a = await folder();
    const source = new ScriptedSource({ name: 'one', bytes: 4 * MIB, breaksAfter: 2 * MIB });
    const { result, outcomes } = await runEngine(source, [{ to: a.driver, name: 'a' }]);
    assert.equal(result.state, 'failed');
    assert.equal(outcomes.get('a')?.status, 'rejected');
    assert.deepEqual(await filesBelow(a.root), []);
    assert.equal(source.open, 0);
  });

  it('copies a committed set to a further destination, and refuses to copy it onto itself', async () => {
    const [a, b] = [await folder(), await folder()];
    const source = new ScriptedSource({ name: 'one', bytes: 2 * MIB });
    const { engine, outcomes } = await runEngine(source, [{ to: a.driver, name: 'a', steps: [compress()] }]);
    const outcome = outcomes.get('a');
    assert.ok(outcome?.status === 'fulfilled');
    const { path } = outcome.value.reference;
    const from = { node: 'a', label: 'a', driver: a.driver, prefix: 'sets' };
    const to = { node: 'b', label: 'b', driver: b.driver, prefix: 'copies' };
    const copied = await engine.copySet({ from, to, path, signal });
    assert.equal(copied.reference.path, path);
    const set = await openBackupSet(b.driver, `copies/${path}`, signal);
    assert.ok((await verifySet({ set, level: 'content', keys, signal })).ok);
    await assert.rejects(engine.copySet({ from, to: from, path, signal }), { code: 'already-exists' });
    assert.ok(
      (
        await verifySet({
          set: { ...set, driver: a.driver, path: `sets/${path}` },
          level: 'hash',
          keys,
          signal,
        })
      ).ok,
    );
  });
});
