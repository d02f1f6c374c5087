import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withWish } from '../../lib/backupset/annotation-changes.ts';
import { annotationsText, NO_ANNOTATIONS } from '../../lib/backupset/annotation-format.ts';
import { annotationsOf, readAnnotations, updateAnnotations } from '../../lib/backupset/annotations.ts';
import { manifestText } from '../../lib/backupset/manifest.ts';
import { openBackupSet } from '../../lib/backupset/reader.ts';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import { BackupError, type ErrorCode } from '../../lib/errors.ts';
import { FaultyDestination } from '../support/faulty-destination.ts';
import { sampleManifest } from '../support/sample-manifest.ts';
import { until } from '../support/until.ts';

/** The user `nobody` on Debian. */
const NOBODY = 65534;
const never = new AbortController().signal;
const SET = 'shop/20261122T143000Z_9f86d081';

describe('annotations in a storage', () => {
  let root = '';
  let file = '';
  let driver: DestinationDriver;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'dbackup-annotations-'));
    await mkdir(join(root, SET), { recursive: true });
    await writeFile(join(root, SET, 'manifest.json'), manifestText(sampleManifest()));
    file = join(root, SET, 'annotations.json');
    driver = createLocalDestination({ root, reserveMiB: 0 });
  });
  afterEach(async () => {
    await chmod(join(root, SET), 0o700).catch(() => undefined);
    await rm(root, { recursive: true, force: true });
  });

  const read = (from = driver) => readAnnotations(from, SET, { signal: never });
  const add = (tag: string, to = driver) =>
    updateAnnotations(to, SET, (current) => withWish(current, { addTags: [tag] }), { signal: never });
  const files = async () => (await readdir(join(root, SET))).sort();

  it('says nothing of a set that has none, and writes nothing when nothing changes', async () => {
    assert.deepEqual(await read(), { value: NO_ANNOTATIONS });
    await updateAnnotations(driver, SET, (current) => current, { signal: never });
    assert.deepEqual(await files(), ['manifest.json']);
  });

  it('stores a change in one step, and leaves nothing else', async () => {
    const stored = await add('a');
    assert.deepEqual((await read()).value, stored);
    assert.deepEqual(stored.tags, ['a']);
    assert.deepEqual(await files(), ['annotations.json', 'manifest.json']);
  });

  it('begins with what the run was told, where the file is not there any more', async () => {
    const manifest = sampleManifest();
    const recipe = { ...manifest.recipe, annotations: { tags: ['v1'], pinned: true } };
    await writeFile(join(root, SET, 'manifest.json'), manifestText({ ...manifest, recipe }));
    const set = await openBackupSet(driver, SET, never);
    const { tags, pinned } = (await annotationsOf(set, { signal: never })).value;
    assert.deepEqual([tags, pinned], [['v1'], true]);
    const stored = await add('a');
    assert.deepEqual([stored.tags, stored.pinned], [['v1', 'a'], true]);
    await updateAnnotations(
      driver,
      SET,
      (current) => withWish(current, { pinned: false, removeTags: ['a', 'v1'] }),
      {
        signal: never,
      },
    );
    const after = await annotationsOf(set, { signal: never });
    assert.deepEqual([after.value.tags, after.value.pinned], [[], false]);
  });

  it('loses none of many changes at the same time', async () => {
    const wanted = Array.from({ length: 12 }, (_, n) => `t${n}`);
    await Promise.all(wanted.map((tag) => add(tag)));
    assert.deepEqual((await read()).value.tags.toSorted(), wanted.toSorted());
  });

  it('begins again when another process was quicker', async () => {
    let others = 2;
    const busy = meddling(driver, {
      beforeCommit: async () => {
        if (others-- > 0) await writeFile(file, text({ tags: [`other${others}`] }));
      },
    });
    assert.deepEqual((await add('mine', busy)).tags, ['other0', 'mine']);
  });

  it('notices that what it wrote was replaced by a process that had not read it', async () => {
    let others = 1;
    const busy = meddling(driver, {
      afterCommit: async () => {
        if (others-- > 0) await writeFile(file, text({ tags: ['other'], pinned: true }));
      },
    });
    const stored = await add('mine', busy);
    assert.deepEqual([stored.tags, stored.pinned], [['other', 'mine'], true]);
  });

  it('gives up on a file that is changed again and again', async () => {
    let turn = 0;
    const busy = meddling(driver, {
      beforeCommit: async () => await writeFile(file, text({ tags: [`other${turn++}`] })),
    });
    const clock = { now: () => 0, setTimer: (call: () => void) => timer(call) };
    const change = updateAnnotations(busy, SET, (current) => withWish(current, { pinned: true }), {
      signal: never,
      clock,
    });
    await rejects(change, 'unavailable', /again and again/);
    assert.deepEqual(await files(), ['annotations.json', 'manifest.json']);
  });

  it('writes nothing beside a set that is gone, also when it goes in the middle', async () => {
    const busy = meddling(driver, { beforeCommit: () => rm(join(root, SET, 'manifest.json')) });
    await rejects(add('a', busy), 'not-found', /no backup set/);
    await rejects(add('a'), 'not-found', /no backup set/);
    assert.deepEqual(await readdir(join(root, SET)).catch(() => []), []);
  });

  it('takes a set for pinned whose annotations are cut off, no JSON, or of a newer version', async () => {
    const whole = text({ tags: ['a'] });
    const damaged: [string, ErrorCode][] = [
      [whole.slice(0, whole.length / 2), 'corrupt'],
      ['', 'corrupt'],
      ['<html>', 'corrupt'],
      ['x'.repeat(2 * 1024 * 1024), 'corrupt'],
      [whole.replace('"version": 1', '"version": 7'), 'invalid-config'],
    ];
    for (const [content, code] of damaged) {
      await writeFile(file, content);
      const { value, error } = await read();
      assert.equal(error?.code, code);
      assert.equal(value.pinned, true);
      await rejects(add('b'), code, /annotations/);
      assert.equal(await readFile(file, 'utf8'), content);
    }
  });

  it('replaces a damaged file when asked to, but none of a newer version', async () => {
    const pin = () =>
      updateAnnotations(driver, SET, (current) => withWish(current, { pinned: true }), {
        signal: never,
        replaceDamaged: true,
      });
    await writeFile(file, '{"tags":');
    assert.equal((await pin()).pinned, true);
    assert.equal((await read()).error, undefined);
    await writeFile(file, text({}).replace('"version": 1', '"version": 2'));
    await rejects(pin(), 'invalid-config', /update it/);
  });

  it('takes a set for pinned while its storage does not answer', async () => {
    const { value, error } = await read(
      meddling(driver, {
        stat: async () => {
          throw new BackupError('unavailable', 'The storage is away', { transient: true });
        },
      }),
    );
    assert.equal(value.pinned, true);
    assert.equal(error?.transient, true);
  });

  it('ends at once when it is aborted, and leaves nothing', async () => {
    const stop = new AbortController();
    const hanging = new FaultyDestination(driver, { file: 'annotations', kind: 'commit-hang' });
    const change = updateAnnotations(hanging, SET, (current) => withWish(current, { pinned: true }), {
      signal: stop.signal,
    });
    change.catch(() => undefined);
    await until(async () => (await files()).length === 2);
    stop.abort(new BackupError('aborted', 'Enough'));
    await rejects(change, 'aborted', /Enough/);
    await hanging.release();
    assert.deepEqual(await files(), ['manifest.json']);
  });

  it('says that a storage cannot be written to, and reads it all the same', async () => {
    await add('a');
    await chmod(root, 0o755);
    await chmod(join(root, 'shop'), 0o755);
    await chmod(join(root, SET), 0o555);
    await chmod(file, 0o444);
    const isRoot = process.getuid?.() === 0;
    if (isRoot) process.seteuid?.(NOBODY);
    try {
      await rejects(add('b'), 'permission', /annotations\.json/);
      assert.deepEqual((await read()).value.tags, ['a']);
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  });

  it('refuses to call a set unpinned while a storage replaces its file in two steps', async () => {
    const twoSteps = meddling(driver, {
      properties: { ...driver.properties, atomicReplace: false },
      unfinished: [`${SET}/.annotations.json.0123456789abcdef.partial`],
    });
    const { value, error } = await read(twoSteps);
    assert.equal(value.pinned, true);
    assert.match(error?.message ?? '', /unfinished/);
    const other = meddling(driver, {
      properties: { ...driver.properties, atomicReplace: false },
      unfinished: [`${SET}/.shop.sqlite.0123456789abcdef.partial`],
    });
    assert.equal((await read(other)).value.pinned, false);
    assert.deepEqual((await add('a', other)).tags, ['a']);
  });
});

function text(fields: { tags?: string[]; pinned?: boolean }): string {
  return annotationsText({ ...NO_ANNOTATIONS, ...fields, changes: [String(Math.random())] });
}

interface Meddling {
  readonly beforeCommit?: () => Promise<void>;
  readonly afterCommit?: () => Promise<void>;
  readonly stat?: DestinationDriver['stat'];
  readonly properties?: DestinationDriver['properties'];
  readonly unfinished?: readonly string[];
}

/** The same storage, with others at work in it. */
function meddling(inner: DestinationDriver, by: Meddling): DestinationDriver {
  return {
    kind: inner.kind,
    properties: by.properties ?? inner.properties,
    describe: () => inner.describe(),
    probe: (signal) => inner.probe(signal),
    read: (path, options) => inner.read(path, options),
    list: (prefix, signal) => inner.list(prefix, signal),
    stat: by.stat ?? ((path, signal) => inner.stat(path, signal)),
    remove: (path, signal) => inner.remove(path, signal),
    sweep: (olderThan, signal) => inner.sweep(olderThan, signal),
    async *unfinished() {
      for (const path of by.unfinished ?? []) yield { path, bytes: 1, modified: new Date() };
    },
    async write(path, bytes, options) {
      const pending = await inner.write(path, bytes, options);
      await by.beforeCommit?.();
      return {
        bytes: pending.bytes,
        abort: () => pending.abort(),
        commit: async () => {
          await pending.commit();
          await by.afterCommit?.();
        },
      };
    },
  };
}

function timer(call: () => void) {
  const immediate = setImmediate(call);
  return { cancel: () => clearImmediate(immediate) };
}

async function rejects(work: Promise<unknown>, code: ErrorCode, message: RegExp): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof BackupError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });
}
