import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withVerification, withWish } from '../../lib/backupset/annotation-changes.ts';
import { type Annotations, NO_ANNOTATIONS } from '../../lib/backupset/annotation-format.ts';
import { readAnnotations, updateAnnotations } from '../../lib/backupset/annotations.ts';
import { openBackupSet } from '../../lib/backupset/reader.ts';
import { EMPTY_KEY_RING } from '../../lib/keys/keys.ts';
import type { DestinationBinding } from '../../lib/plan/bindings.ts';
import { verifySet } from '../../lib/restore/verify.ts';
import { createCompress } from '../../lib/transforms/compress.ts';
import { filesBelow, runEngine, useLocalFolders } from '../support/engine-run.ts';
import { FaultyDestination } from '../support/faulty-destination.ts';
import { ScriptedSource } from '../support/scripted-source.ts';

const MIB = 1024 * 1024;

describe('engine: copies of committed sets', () => {
  const folder = useLocalFolders();
  const zstd = { node: 'zstd', transform: createCompress({ level: 1 }) };

  async function stored() {
    const a = await folder();
    const source = new ScriptedSource({ name: 'one', bytes: 2 * MIB }, { name: 'two', bytes: MIB });
    const { engine, outcomes } = await runEngine(source, [{ to: a.driver, name: 'a', steps: [zstd] }]);
    const outcome = outcomes.get('a');
    assert.ok(outcome?.status === 'fulfilled');
    const from: DestinationBinding = { node: 'a', label: 'a', driver: a.driver, prefix: 'sets' };
    return { a, engine, from, path: outcome.value.reference.path };
  }

  const bound = (driver: DestinationBinding['driver'], prefix = ''): DestinationBinding => ({
    node: 'b',
    label: 'b',
    driver,
    prefix,
  });

  async function assertEqualSets(a: string, b: string, path: string): Promise<void> {
    const names = (await filesBelow(join(a, 'sets', path))).sort();
    assert.deepEqual(await filesBelow(join(b, path)), names);
    for (const name of names) {
      const [left, right] = await Promise.all(
        [join(a, 'sets', path, name), join(b, path, name)].map((file) => readFile(file)),
      );
      assert.ok(left !== undefined && right !== undefined && left.equals(right), name);
    }
  }

  it('copies what people say of a set now, and nothing that was found in its files', async () => {
    const [{ a, engine, from, path }, b, c] = [await stored(), await folder(), await folder()];
    const { signal } = new AbortController();
    const first = await engine.copySet({ from, to: bound(b.driver), path, signal });
    assert.equal((await readAnnotations(b.driver, path, { signal })).value, NO_ANNOTATIONS);
    assert.ok(!(await filesBelow(join(b.root, path))).includes('annotations.json'));
    const found = { at: first.manifest.finishedAt, level: 'hash', ok: true, host: 'db1' } as const;
    const change = (current: Annotations) =>
      withVerification(withWish(current, { addTags: ['v1'], pinned: true }), found);
    await updateAnnotations(a.driver, `sets/${path}`, change, { signal });
    await engine.copySet({ from, to: bound(c.driver), path, signal });
    const { value, error } = await readAnnotations(c.driver, path, { signal });
    assert.equal(error, undefined);
    assert.deepEqual([value.tags, value.pinned, value.verifications], [['v1'], true, []]);
  });

  it('replaces what an interrupted copy has left, and what it left is no set', async () => {
    const [{ a, engine, from, path }, b] = [await stored(), await folder()];
    await mkdir(join(b.root, path), { recursive: true });
    await writeFile(join(b.root, path, 'one.txt.zst'), 'half of an earlier copy');
    await writeFile(join(b.root, path, 'SHA256SUMS'), 'old');
    const { signal } = new AbortController();
    await assert.rejects(openBackupSet(b.driver, path, signal), { code: 'not-found' });
    const copied = await engine.copySet({ from, to: bound(b.driver), path, signal });
    assert.equal(copied.reference.node, 'b');
    await assertEqualSets(a.root, b.root, path);
    assert.equal(getEventListeners(signal, 'abort').length, 0);
    assert.equal(engine.destinationOf(copied.manifest.runId, 'b')?.label, 'b');
    assert.equal(engine.destinationOf(copied.manifest.runId, 'a')?.label, 'a');
  });

  it('succeeds at the second try, whatever stopped the first one', async () => {
    const kinds = ['error', 'commit-error', 'commit-lost', 'short', 'throws'] as const;
    for (const kind of kinds) {
      for (const file of ['one', 'RESTORE.md', 'manifest.json']) {
        const [{ a, engine, from, path }, b] = [await stored(), await folder()];
        const faulty = new FaultyDestination(b.driver, { file, kind });
        const { signal } = new AbortController();
        await assert.rejects(engine.copySet({ from, to: bound(faulty), path, signal }));
        assert.deepEqual(await filesBelow(b.root), [], `${kind} at ${file}`);
        await engine.copySet({ from, to: bound(faulty), path, signal });
        await assertEqualSets(a.root, b.root, path);
        assert.equal(faulty.pending, 0);
      }
    }
  });

  it('does not touch a set that is there, also not when it is the source by another name', async () => {
    const { a, engine, from, path } = await stored();
    const { signal } = new AbortController();
    const before = await filesBelow(a.root);
    for (const to of [from, bound(a.driver, 'sets')]) {
      await assert.rejects(engine.copySet({ from, to, path, signal }), { code: 'already-exists' });
    }
    assert.deepEqual(await filesBelow(a.root), before);
    const set = await openBackupSet(a.driver, `sets/${path}`, signal);
    assert.ok((await verifySet({ set, level: 'content', keys: EMPTY_KEY_RING, signal })).ok);
  });

  it('lets one of two copies into the same folder win, and the other see its set', async () => {
    const [{ a, engine, from, path }, b] = [await stored(), await folder()];
    const { signal } = new AbortController();
    const outcomes = await Promise.allSettled(
      [1, 2, 3].map(() => engine.copySet({ from, to: bound(b.driver), path, signal })),
    );
    assert.deepEqual(
      outcomes.map((outcome) => (outcome.status === 'rejected' ? outcome.reason.code : 'copied')),
      ['copied', 'already-exists', 'already-exists'],
    );
    await assertEqualSets(a.root, b.root, path);
  });

  it('copies nothing of a source that is damaged', async () => {
    const [{ a, engine, from, path }, b] = [await stored(), await folder()];
    const { signal } = new AbortController();
    const damaged = join(a.root, 'sets', path, 'two.txt.zst');
    const bytes = await readFile(damaged);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await writeFile(damaged, bytes);
    await assert.rejects(engine.copySet({ from, to: bound(b.driver), path, signal }), { code: 'corrupt' });
    assert.deepEqual(await filesBelow(b.root), []);
  });

  it('ends at once when it is told to, and leaves nothing', async () => {
    const [{ engine, from, path }, b] = [await stored(), await folder()];
    const controller = new AbortController();
    const to = { ...bound(b.driver), bytesPerSecond: 10_000 };
    const copy = engine.copySet({ from, to, path, signal: controller.signal });
    setTimeout(() => controller.abort(), 200);
    await assert.rejects(copy, { code: 'aborted' });
    assert.deepEqual(await filesBelow(b.root), []);
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
  });
});
