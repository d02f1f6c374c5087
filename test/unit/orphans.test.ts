import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { FileNameAllocator, newRunId, openedAtOf } from '../../lib/backupset/names.ts';
import {
  type Circumstances,
  CLOCK_TOLERANCE_MS,
  findSetFolders,
  inRemovalOrder,
  isClockBehind,
  isPathOfSetFile,
  judgeOrphan,
  QUIET_MS,
  type SetFolderFound,
} from '../../lib/backupset/orphans.ts';
import { DUMP_EXTENSIONS, setFileKind } from '../../lib/backupset/set-files.ts';
import { sumsFiles } from '../../lib/backupset/sums.ts';
import type { ObjectInfo } from '../../lib/destinations/driver.ts';
import { sampleManifest } from '../support/sample-manifest.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const now = new Date('2026-03-10T12:00:00Z');
const RUN = '20260301T030000Z_9f86d081';
const openedAt = new Date('2026-03-01T03:00:00Z');

describe('names of the files of a set', () => {
  it('law: whatever a database is called, its file is known by its name', () => {
    const steps = fc.array(fc.constantFrom('.zst', '.gz', '.br', '.dbk', '.age'), { maxLength: 4 });
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 300 }),
        fc.constantFrom(...DUMP_EXTENSIONS),
        fc.integer({ min: 1, max: 12 }),
        steps,
        (database, extension, number, chain) => {
          const file = new FileNameAllocator().allocate(database, extension, number) + chain.join('');
          assert.equal(setFileKind(file), 'artifact', file);
        },
      ),
    );
  });

  it('knows the extensions of all sources', () => {
    const sources = join(import.meta.dirname, '../../lib/sources');
    const files = readdirSync(sources, { recursive: true, encoding: 'utf8' });
    const texts = files.filter((file) => file.endsWith('.ts')).map((file) => join(sources, file));
    const used = texts.flatMap((file) =>
      [...readFileSync(file, 'utf8').matchAll(/extension: '([^']+)'/g)].map(([, extension]) => extension),
    );
    assert.ok(used.length >= 4);
    assert.deepEqual(
      used.filter((extension) => !DUMP_EXTENSIONS.includes(extension ?? '')),
      [],
    );
  });

  it('knows the files that are written beside the dumps', () => {
    const sums = sumsFiles(sampleManifest()).map(({ name }) => setFileKind(name));
    assert.deepEqual([...new Set(sums)], ['sums']);
    assert.deepEqual(['manifest.json', 'RESTORE.md', 'annotations.json', 'B2SUMS.decoded'].map(setFileKind), [
      'manifest',
      'guide',
      'annotations',
      'sums',
    ]);
  });

  it('knows no others', () => {
    for (const name of [
      'notes.txt',
      'shop.sqlite.bak',
      'shop.zst',
      '.sqlite',
      'sub/shop.sqlite',
      'Manifest.json',
      'shop one.sqlite',
      'SHA256SUMS.old',
      '-rf.sqlite',
      'manifest.json.zst',
    ]) {
      assert.equal(setFileKind(name), undefined, name);
    }
  });
});

describe('run ids', () => {
  it('tell when the run was opened', () => {
    fc.assert(
      fc.property(fc.date({ min: new Date(0), max: new Date('2999-12-31'), noInvalidDate: true }), (date) => {
        const second = Math.floor(date.getTime() / 1000) * 1000;
        assert.equal(openedAtOf(newRunId(date))?.getTime(), second);
      }),
    );
    for (const name of ['20260301', '20261301T030000Z_9f86d081', `${RUN}0`, RUN.toUpperCase(), 'latest']) {
      assert.equal(openedAtOf(name), undefined, name);
    }
  });
});

describe('set folders of a storage', () => {
  it('are those directly below the folders of jobs, below the prefix', async () => {
    const paths = [
      `shop/${RUN}/shop.sqlite`,
      `deep/er/shop/${RUN}/shop.sqlite`,
      `${RUN}/shop.sqlite`,
      `my shop/${RUN}/shop.sqlite`,
      `shop/not-a-run/shop.sqlite`,
      `shop/${RUN}`,
    ];
    assert.deepEqual(
      (await found('', paths)).map(({ path }) => path),
      [`shop/${RUN}`],
    );
    const below = paths.filter((path) => path.startsWith('deep/er/'));
    assert.deepEqual(
      (await found('deep/er', below)).map(({ path }) => path),
      [`deep/er/shop/${RUN}`],
    );
  });

  it('law: one with a manifest is never an orphan, whatever else lies there and in whichever order', async () => {
    const names = fc.shuffledSubarray([
      'shop.sqlite',
      'SHA256SUMS',
      'RESTORE.md',
      'notes.txt',
      'a/manifest.json',
    ]);
    await fc.assert(
      fc.asyncProperty(names, fc.nat(5), circumstances(), async (others, place, given) => {
        const files = others.toSpliced(place, 0, 'manifest.json').map((name) => `shop/${RUN}/${name}`);
        const [folder] = await found('', files);
        assert.ok(folder?.hasManifest);
        assert.equal(judgeOrphan(folder, given).isOrphan, false);
      }),
    );
  });

  it('law: one with anything strange in it is never an orphan', async () => {
    const strange = fc.constantFrom(
      'notes.txt',
      'sub/shop.sqlite',
      'shop.sqlite.tmp',
      'Thumbs.db',
      'RESTORE.md.bak',
    );
    await fc.assert(
      fc.asyncProperty(strange, circumstances(), async (name, given) => {
        const [folder] = await found('', [`shop/${RUN}/shop.sqlite`, `shop/${RUN}/${name}`]);
        assert.ok(folder);
        const verdict = judgeOrphan(folder, given);
        assert.equal(verdict.isOrphan, false);
      }),
    );
  });

  it('law: nothing that is younger than the grace period is an orphan', () => {
    fc.assert(
      fc.property(
        circumstances(),
        fc.array(fc.integer({ min: 0, max: 9 * DAY }), { minLength: 1 }),
        (given, after) => {
          const folder = folderOf(after.map((ms) => ['shop.sqlite', ms]));
          const verdict = judgeOrphan(folder, given);
          const latest = Math.max(folder.newest.getTime(), given.unfinished?.getTime() ?? 0);
          const quiet = given.fate === 'dead' ? Math.min(given.graceMs, QUIET_MS) : given.graceMs;
          assert.equal(verdict.isOrphan, given.fate !== 'active' && now.getTime() - latest >= quiet);
          if (!verdict.isOrphan && verdict.why === 'young') {
            assert.equal(verdict.until?.getTime(), latest + quiet);
          }
        },
      ),
    );
  });

  const given = { now, graceMs: DAY, fate: undefined };

  it('are orphans when they are old, and not before', () => {
    assert.deepEqual(judgeOrphan(folderOf([['shop.sqlite', HOUR]]), given), { isOrphan: true });
    const at = (graceMs: number) => judgeOrphan(folderOf([['shop.sqlite', HOUR]]), { ...given, graceMs });
    assert.equal(at(10 * DAY).isOrphan, false);
  });

  it('are left alone when a clock must be wrong', () => {
    const future = now.getTime() - openedAt.getTime() + CLOCK_TOLERANCE_MS + 1;
    for (const [ms, words] of [
      [future, /in the future: compare the clocks/],
      [-CLOCK_TOLERANCE_MS - 1, /before its run: compare the clocks/],
    ] as const) {
      const folder = folderOf([
        ['shop.sqlite', HOUR],
        ['wiki.sqlite', ms],
      ]);
      for (const fate of ['dead', undefined] as const) {
        const verdict = judgeOrphan(folder, { ...given, fate });
        assert.ok(!verdict.isOrphan && verdict.why === 'doubtful');
        assert.match(verdict.reason, words);
      }
    }
    const tomorrow = { ...folderOf([['shop.sqlite', HOUR]]), openedAt: new Date(now.getTime() + DAY) };
    assert.equal(judgeOrphan(tomorrow, given).isOrphan, false);
    assert.ok(judgeOrphan(folderOf([['shop.sqlite', -CLOCK_TOLERANCE_MS]]), given).isOrphan);
  });

  it('are kept when all but the manifest is there, unless the run is known to be dead', () => {
    for (const name of ['RESTORE.md', 'annotations.json']) {
      const folder = folderOf([
        ['shop.sqlite', HOUR],
        [name, HOUR],
      ]);
      const verdict = judgeOrphan(folder, given);
      assert.ok(!verdict.isOrphan && verdict.why === 'doubtful');
      assert.match(verdict.reason, /only its manifest\.json is missing/);
      assert.ok(judgeOrphan(folder, { ...given, fate: 'dead' }).isOrphan);
    }
  });

  it('are known as the remains of a removal by its mark, unless somebody has written there since', () => {
    const marked = (...more: (readonly [string, number])[]) =>
      folderOf([['shop.sqlite', HOUR], ['RESTORE.md', HOUR], ['removed.json', 3 * HOUR], ...more]);
    assert.deepEqual(judgeOrphan(marked(), given), { isOrphan: true });
    assert.deepEqual(judgeOrphan(folderOf([['removed.json', HOUR]]), given), { isOrphan: true });
    const begunAnew = judgeOrphan(marked(['wiki.sqlite', 4 * HOUR]), given);
    assert.ok(!begunAnew.isOrphan && begunAnew.why === 'doubtful');
    const strange = judgeOrphan(marked(['notes.txt', HOUR]), given);
    assert.ok(!strange.isOrphan && strange.why === 'doubtful');
    assert.ok(!judgeOrphan(marked(), { ...given, fate: 'active' }).isOrphan);
    const since = { ...given, now: new Date(openedAt.getTime() + 3 * HOUR + QUIET_MS - 1) };
    const young = judgeOrphan(marked(), since);
    assert.ok(!young.isOrphan && young.why === 'young');
  });

  it('are removed from the last file to the first', () => {
    const folder = folderOf([
      ['a.sqlite', 1],
      ['b.sqlite', 2],
      ['SHA256SUMS', 3],
      ['RESTORE.md', 4],
      ['removed.json', 5],
    ]);
    assert.deepEqual(
      inRemovalOrder(folder).map(({ name }) => name),
      ['RESTORE.md', 'SHA256SUMS', 'b.sqlite', 'a.sqlite', 'removed.json'],
    );
  });

  it('tell by the latest of them that a clock is behind', () => {
    const older = { ...folderOf([['shop.sqlite', -DAY]]), runId: '20250301T030000Z_9f86d081' };
    assert.ok(!isClockBehind([older, folderOf([['shop.sqlite', HOUR]])]));
    assert.ok(
      isClockBehind([
        older,
        folderOf([
          ['shop.sqlite', HOUR],
          ['wiki.sqlite', -DAY],
        ]),
      ]),
    );
    assert.ok(!isClockBehind([]));
  });
});

describe('paths of files of sets', () => {
  it('are told from those of others', () => {
    assert.ok(isPathOfSetFile(`shop/${RUN}/shop.sqlite.zst.dbk`));
    assert.ok(isPathOfSetFile(`deep/er/shop/${RUN}/manifest.json`));
    for (const path of [
      `shop/${RUN}/other.bin`,
      'shop/other/shop.sqlite',
      `${RUN}/shop.sqlite`,
      'shop.sqlite',
    ]) {
      assert.ok(!isPathOfSetFile(path), path);
    }
  });
});

function circumstances(): fc.Arbitrary<Circumstances> {
  return fc.record({
    now: fc.constant(now),
    graceMs: fc.integer({ min: 0, max: 9 * DAY }),
    fate: fc.constantFrom('active', 'dead', undefined),
    unfinished: fc.option(
      fc.integer({ min: 0, max: 10 * DAY }).map((ms) => new Date(now.getTime() - ms)),
      { nil: undefined },
    ),
  });
}

/** A folder with files that came so many ms after the run was opened. */
function folderOf(files: readonly (readonly [name: string, afterMs: number])[]): SetFolderFound {
  const times = files.map(([, ms]) => openedAt.getTime() + ms);
  return {
    path: `shop/${RUN}`,
    runId: RUN,
    openedAt,
    hasManifest: false,
    files: files.map(([name, ms]) => ({
      ...objectAt(`shop/${RUN}/${name}`, ms),
      name,
      kind: setFileKind(name),
    })),
    oldest: new Date(Math.min(...times)),
    newest: new Date(Math.max(...times)),
  };
}

function found(prefix: string, paths: readonly string[]): Promise<SetFolderFound[]> {
  return findSetFolders(prefix, listing(paths.map((path) => objectAt(path, HOUR))));
}

function objectAt(path: string, afterMs: number): ObjectInfo {
  return { path, bytes: 1, modified: new Date(openedAt.getTime() + afterMs) };
}

async function* listing(objects: readonly ObjectInfo[]): AsyncGenerator<ObjectInfo, void> {
  yield* objects;
}
