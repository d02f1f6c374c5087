import assert from 'node:assert/strict';
import fc from 'fast-check';
import { newRunId } from '../../lib/backupset/names.ts';
import { CLOCK_TOLERANCE_MS, type RunFate } from '../../lib/backupset/orphans.ts';
import { type SweepReport, type SweepRequest, sweepStorage } from '../../lib/backupset/sweep-storage.ts';
import { BackupError } from '../../lib/errors.ts';
import { type Asked, ListedDestination } from '../support/listed-destination.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const FILES = ['a.sqlite.zst', 'b.sqlite.zst', 'SHA256SUMS', 'SHA256SUMS.decoded'];
const { signal } = new AbortController();

describe('sweeping a storage', () => {
  let storage: ListedDestination;

  const ago = (ms: number) => new Date(Date.now() - ms);
  /** A folder of a run that was opened so long ago, with files from an hour after that; its path. */
  const plant = (ageMs: number, files: readonly string[] = FILES, prefix = ''): string => {
    const folder = `${prefix}shop/${newRunId(ago(ageMs))}`;
    for (const file of files) storage.put(`${folder}/${file}`, ago(ageMs - Math.min(HOUR, ageMs / 2)));
    return folder;
  };
  const sweep = (more: Partial<SweepRequest> = {}): Promise<SweepReport> =>
    sweepStorage({
      driver: storage,
      prefixes: [''],
      graceMs: DAY,
      remove: true,
      fates: async () => new Map(),
      signal,
      ...more,
    });
  const knowing = (fate: RunFate) => ({
    fates: async (ids: readonly string[]) => new Map(ids.map((id) => [id, fate])),
  });
  const paths = () => [...storage.objects.keys()].sort();
  const removals = () => storage.asked.filter((asked) => asked.startsWith('remove'));

  beforeEach(() => {
    storage = new ListedDestination();
  });

  it('removes folders without a manifest when they are old enough, and nothing else', async () => {
    const set = plant(3 * DAY, [...FILES, 'manifest.json']);
    const young = plant(DAY / 2);
    storage.put('notes.txt', ago(9 * DAY));
    storage.put('shop/notes.txt', ago(9 * DAY));
    const before = paths();
    const orphan = plant(2 * DAY);
    const report = await sweep();
    assert.deepEqual(paths(), before);
    assert.deepEqual(report.folders, [{ path: orphan, files: 4, bytes: 40 }]);
    assert.deepEqual(
      report.left.map(({ path, why }) => [path, why]),
      [[young, 'young']],
    );
    assert.ok(!report.left.some(({ path }) => path === set));
    assert.equal(report.error, undefined);
    const again = report.again?.getTime() ?? 0;
    assert.ok(again > Date.now() + DAY / 4 && again <= Date.now() + DAY);
  });

  it('looks only below the folders of the destinations', async () => {
    const here = plant(2 * DAY, FILES, 'deep/er/');
    const elsewhere = plant(2 * DAY, FILES, 'other/');
    const report = await sweep({ prefixes: ['deep/er'] });
    assert.deepEqual(
      report.folders.map(({ path }) => path),
      [here],
    );
    assert.ok(paths().every((path) => path.startsWith(elsewhere)));
  });

  it('removes nothing in a dry run, and tells the same', async () => {
    plant(2 * DAY);
    storage.uploads.set('x', { path: `${plant(3 * DAY)}/c.sqlite`, bytes: 1, modified: ago(2 * DAY) });
    const before = paths();
    const dry = await sweep({ remove: false });
    assert.deepEqual([removals(), paths()], [[], before]);
    assert.ok(!storage.asked.includes('sweep '));
    const real = await sweep();
    assert.deepEqual([dry.folders, dry.unfinished], [real.folders, real.unfinished]);
    assert.equal(real.folders.length, 2);
    assert.equal(real.unfinished?.length, 1);
  });

  it('leaves the runs of living processes alone, however old their files are', async () => {
    plant(9 * DAY);
    const left = async (more: Partial<SweepRequest>) => (await sweep(more)).left.map(({ why }) => why);
    assert.deepEqual(await left(knowing('active')), ['busy']);
    assert.deepEqual(await left({ ...knowing('dead'), isWriting: () => true }), ['busy']);
    assert.deepEqual(removals(), []);
  });

  it('leaves a folder alone while a file in it is on its way', async () => {
    const folder = plant(9 * DAY);
    storage.uploads.set('x', { path: `${folder}/c.sqlite`, bytes: 1, modified: ago(HOUR) });
    const report = await sweep();
    assert.deepEqual(
      report.left.map(({ why }) => why),
      ['young'],
    );
    assert.deepEqual(removals(), []);
    assert.equal(storage.uploads.size, 1);
  });

  it('does not make the folder of a run that is known to be dead wait for the grace period', async () => {
    const dead = plant(HOUR, [...FILES, 'RESTORE.md']);
    const dying = plant(60_000);
    const report = await sweep(knowing('dead'));
    assert.deepEqual(
      [report.folders.map(({ path }) => path), report.left.map(({ path, why }) => [path, why])],
      [[dead], [[dying, 'young']]],
    );
  });

  it('asks the history only when there is something to judge', async () => {
    plant(2 * DAY, [...FILES, 'manifest.json']);
    const report = await sweep({ fates: () => assert.fail('asked') });
    assert.equal(report.error, undefined);
  });

  it('leaves the uploads of others alone', async () => {
    const ours = `${plant(2 * DAY, [...FILES, 'manifest.json'])}/c.sqlite`;
    for (const path of [ours, 'videos/holiday.mp4']) {
      storage.uploads.set(path, { path, bytes: 1, modified: ago(3 * DAY) });
    }
    assert.deepEqual((await sweep({ remove: false })).unfinished, [ours]);
    assert.deepEqual((await sweep()).unfinished, [ours]);
    assert.deepEqual([...storage.uploads.keys()], ['videos/holiday.mp4']);
  });

  it('believes no age where the clock of the storage is behind', async () => {
    const folder = plant(3 * DAY);
    const latest = plant(2 * DAY, []);
    storage.put(`${latest}/a.sqlite`, ago(2 * DAY + 2 * CLOCK_TOLERANCE_MS));
    storage.put(`${latest}/manifest.json`, ago(2 * DAY + 2 * CLOCK_TOLERANCE_MS));
    storage.uploads.set('x', { path: `${folder}/c.sqlite`, bytes: 1, modified: ago(2 * DAY) });
    const report = await sweep();
    assert.match(report.left.map(({ reason }) => reason).join(), /clock is behind/);
    assert.equal(storage.uploads.size, 1);
  });

  for (const asked of ['list', 'unfinished'] as const) {
    it(`removes nothing when ${asked} fails`, async () => {
      plant(2 * DAY);
      storage.before = (what) => {
        if (what === asked) throw new BackupError('unavailable', 'gone');
      };
      const report = await sweep();
      assert.deepEqual([removals(), report.folders, report.error?.message], [[], [], 'gone']);
    });
  }

  it('removes nothing when the history cannot be read', async () => {
    plant(2 * DAY);
    storage.uploads.set('x', { path: 'shop/.a.0123456789abcdef.partial', bytes: 1, modified: ago(2 * DAY) });
    const report = await sweep({ fates: () => Promise.reject(new BackupError('corrupt', 'damaged')) });
    assert.deepEqual([removals(), storage.uploads.size, report.error?.code], [[], 1, 'corrupt']);
  });

  it('ends with what it has done when a removal fails', async () => {
    plant(2 * DAY);
    plant(3 * DAY);
    let count = 0;
    storage.before = (what) => {
      count += what === 'remove' ? 1 : 0;
      if (count === FILES.length + 2) throw new BackupError('permission', 'refused');
    };
    const report = await sweep();
    assert.deepEqual([report.folders.length, report.error?.message], [1, 'refused']);
    storage.before = () => undefined;
    assert.equal((await sweep()).folders.length, 1);
    assert.deepEqual(paths(), []);
  });

  it('ends at once when it is aborted, also while the storage hangs', async () => {
    plant(2 * DAY);
    for (const stop of ['list', 'unfinished', 'stat'] as const) {
      const abort = new AbortController();
      storage.before = (what) => {
        if (what === stop) abort.abort(new BackupError('aborted', 'shutdown'));
      };
      await assert.rejects(sweep({ signal: abort.signal }), { code: 'aborted', message: 'shutdown' });
    }
    assert.deepEqual(removals(), []);
    const hanging = new AbortController();
    storage.before = () => undefined;
    storage.stat = () => new Promise(() => setImmediate(() => hanging.abort()));
    await assert.rejects(sweep({ signal: hanging.signal }), { code: 'aborted' });
  });

  it('law: a folder that comes to life meanwhile loses at most the file that was looked at', async () => {
    const events = fc.constantFrom('manifest', 'rewritten', 'writing' as const);
    await fc.assert(
      fc.asyncProperty(fc.nat(24), events, async (step, event) => {
        storage = new ListedDestination();
        const folder = plant(2 * DAY);
        let isWriting = false;
        let left = step;
        let seen: string[] = [];
        storage.before = () => {
          left -= 1;
          if (left !== 0) return;
          seen = [...storage.objects.keys()];
          if (event === 'writing') isWriting = true;
          else if (event === 'manifest') storage.put(`${folder}/manifest.json`, new Date());
          else for (const path of seen) storage.put(path, new Date());
        };
        await sweep({ isWriting: () => isWriting });
        const lost = seen.filter((path) => !storage.objects.has(path));
        assert.ok(lost.length <= 1, `${event} before step ${step}: ${lost}`);
      }),
      { numRuns: 300 },
    );
  });

  it('law: random storages lose their orphans, and nothing else', async () => {
    const name = fc.constantFrom('manifest.json', 'notes.txt', 'RESTORE.md', ...FILES);
    const folders = fc.array(
      fc.tuple(fc.integer({ min: 1, max: 96 }), fc.uniqueArray(name, { minLength: 1 })),
    );
    await fc.assert(
      fc.asyncProperty(folders, async (planted) => {
        storage = new ListedDestination();
        const orphans = new Set<string>();
        for (const [hours, files] of planted) {
          const folder = plant(hours * HOUR, files);
          const isWhole = files.includes('RESTORE.md') || files.includes('manifest.json');
          if (!isWhole && !files.includes('notes.txt') && hours >= 25) orphans.add(folder);
        }
        const expected = paths().filter((path) => ![...orphans].some((folder) => path.startsWith(folder)));
        const report = await sweep();
        assert.deepEqual(new Set(report.folders.map(({ path }) => path)), orphans);
        assert.deepEqual(paths(), expected);
      }),
    );
  });

  it('is careful about what it asks', async () => {
    plant(3 * DAY, [...FILES, 'manifest.json']);
    await sweep();
    const asked = storage.asked.map((each) => each.split(' ')[0] as Asked);
    assert.deepEqual(asked, ['list', 'unfinished']);
  });
});
