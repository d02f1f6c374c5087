import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { annotationsText, NO_ANNOTATIONS } from '../../lib/backupset/annotation-format.ts';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import { sweepStorage } from '../../lib/backupset/sweep-storage.ts';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import { BackupError } from '../../lib/errors.ts';
import { policyOf, type RetentionOptionsInput } from '../../lib/retention/options.ts';
import { isPruned, type PruneReport, type PruneRequest, prune } from '../../lib/retention/prune.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { plantSet, putObject } from '../support/planted-sets.ts';
import { WatchedDestination } from '../support/watched-destination.ts';

const DAY = 86_400_000;
const NOW = Math.floor(Date.now() / 1000) * 1000;
const { signal } = new AbortController();

describe('pruning a storage', () => {
  let root: string;
  let storage: WatchedDestination;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'dbackup-prune-'));
    storage = new WatchedDestination(createLocalDestination({ root, reserveMiB: 0 }));
  });

  afterEach(() => rmSync(root, { recursive: true, force: true }));

  /** Sets of the last days, the newest first. */
  const plantDays = async (count: number, more: Parameters<typeof plantSet>[2] = {}): Promise<string[]> => {
    const paths: string[] = [];
    for (let day = 0; day < count; day += 1)
      paths.push(await plantSet(storage, NOW - (day + 0.4) * DAY, more));
    return paths;
  };
  const pruning = (options: RetentionOptionsInput, more: Partial<PruneRequest> = {}): Promise<PruneReport> =>
    prune({
      driver: storage,
      prefix: '',
      job: 'shop',
      policy: policyOf({ zone: 'UTC', ...options }),
      remove: true,
      clock: new FakeClock(NOW),
      signal,
      ...more,
    });
  const stored = async (prefix = ''): Promise<string[]> =>
    (await listBackupSets(storage, { prefix, signal })).sets.map(({ path }) => path);
  const files = () => readdirSync(root, { recursive: true, encoding: 'utf8' }).sort();
  const removals = () => storage.asked.filter((asked) => asked.startsWith('remove '));
  const refuses = async (report: Promise<PruneReport>, message: RegExp): Promise<void> => {
    const before = files();
    const { error, sets } = await report;
    assert.match(error?.message ?? 'nothing is refused', message);
    assert.ok(sets.every(({ kept }) => kept));
    assert.deepEqual([removals(), files()], [[], before]);
  };

  it('removes what no rule keeps, and leaves nothing of it', async () => {
    const [first = '', second = '', third = ''] = await plantDays(3);
    const progress: [number, number][] = [];
    const report = await pruning({ keepLast: 1 }, { onProgress: (...at) => progress.push(at) });
    assert.ok(isPruned(report));
    assert.deepEqual(
      report.sets.map(({ path, kept, verdict }) => [path, kept, verdict]),
      [
        [first, true, 'kept: newest good set, last 1 of 1'],
        [second, false, 'removed: no rule keeps it'],
        [third, false, 'removed: no rule keeps it'],
      ],
    );
    assert.deepEqual(await stored(), [first]);
    assert.deepEqual(readdirSync(join(root, 'shop')), [first.slice('shop/'.length)]);
    assert.deepEqual(progress, [
      [1, 2],
      [2, 2],
    ]);
    assert.equal(report.sets[0]?.bytes, 2 * 'the content of users'.length + 1);
  });

  it('removes the oldest first, each from its manifest to its mark', async () => {
    const [, second = '', third = ''] = await plantDays(3, { annotations: { note: 'hello' } });
    await pruning({ keepLast: 1 });
    const order = storage.asked.filter((asked) => /^(commit|remove) .*\d{8}T/.test(asked)).slice(-14);
    const names = ['manifest.json', 'annotations.json', 'RESTORE.md', 'SHA256SUMS'];
    for (const [path, from] of [
      [third, 0],
      [second, 8],
    ] as const) {
      const asked = storage.asked.filter((each) => /^(commit|remove) /.test(each) && each.includes(path));
      const last = asked.slice(asked.findLastIndex((each) => each.startsWith('commit')));
      assert.deepEqual(
        last.slice(0, 5).map((each) => each.replace(`${path}/`, '')),
        ['commit removed.json', ...names.map((name) => `remove ${name}`)],
      );
      assert.match(last.slice(5).join(), /\.sqlite,remove .*\.sqlite,remove .*removed\.json$/);
      assert.ok(from === 0 || order.length > 0);
    }
    const first = removals().findIndex((asked) => asked.includes(second));
    assert.ok(
      removals()
        .slice(0, first)
        .every((asked) => asked.includes(third)),
    );
  });

  it('removes nothing in a dry run, and tells the same', async () => {
    await plantDays(4);
    const before = files();
    const dry = await pruning({ keepLast: 2 }, { remove: false });
    assert.deepEqual([removals(), files()], [[], before]);
    const real = await pruning({ keepLast: 2 });
    assert.deepEqual(dry.sets, real.sets);
    assert.equal(real.sets.filter(({ kept }) => !kept).length, 2);
  });

  it('judges each job and each prefix by itself', async () => {
    await plantDays(3);
    const others = [
      ...(await plantDays(2, { job: 'crm' })),
      ...(await plantDays(2, { prefix: 'deep/er' })),
      ...(await plantDays(2, { prefix: 'shop' })),
    ];
    await pruning({ keepLast: 1 });
    const left = await stored();
    assert.equal(left.length, 1 + others.length);
    assert.ok(others.every((path) => left.includes(path)));
    await pruning({ keepLast: 1 }, { prefix: 'deep/er' });
    assert.equal((await stored('deep/er')).length, 1);
    assert.equal((await stored()).length, others.length);
  });

  it('keeps two jobs apart whose names come to the same folder', async () => {
    await plantDays(2, { job: 'my shop' });
    await plantDays(2, { job: 'my_shop' });
    const report = await pruning({ keepLast: 1 }, { job: 'my shop' });
    assert.equal(report.sets.length, 2);
    assert.equal((await stored()).length, 3);
  });

  it('has nothing to do where there are no sets', async () => {
    assert.deepEqual(await pruning({ keepLast: 1 }), {
      storage: storage.describe(),
      job: 'shop',
      remove: true,
      sets: [],
    });
  });

  it('keeps what is pinned, tagged, or says something that cannot be read', async () => {
    await plantDays(1);
    const pinned = await plantSet(storage, NOW - 5 * DAY, { annotations: { pinned: true } });
    const tagged = await plantSet(storage, NOW - 6 * DAY, { annotations: { tags: ['release'] } });
    const garbled = await plantSet(storage, NOW - 7 * DAY);
    await putObject(storage, `${garbled}/annotations.json`, Buffer.from('{"pinned": false'));
    const newer = await plantSet(storage, NOW - 8 * DAY);
    await putObject(storage, `${newer}/annotations.json`, Buffer.from('{"format":"x","version":2}'));
    const begun = await plantSet(storage, NOW - 9 * DAY, {
      manifest: (made) => ({ ...made, recipe: { ...made.recipe, annotations: { pinned: true } } }),
    });
    rmSync(join(root, begun, 'annotations.json'));
    const unpinned = await plantSet(storage, NOW - 10 * DAY, {
      annotations: { pinned: false, tags: ['other'] },
      manifest: (made) => ({ ...made, recipe: { ...made.recipe, annotations: { pinned: true } } }),
    });
    const report = await pruning({ keepLast: 1, keepTags: ['release'] });
    const verdicts = new Map(report.sets.map(({ path, verdict }) => [path, verdict]));
    assert.equal(verdicts.get(pinned), 'kept: pinned');
    assert.equal(verdicts.get(tagged), 'kept: tag release');
    assert.match(verdicts.get(garbled) ?? '', /^kept: taken for pinned, .*is not JSON/);
    assert.match(verdicts.get(newer) ?? '', /^kept: taken for pinned, .*has version 2/);
    assert.equal(verdicts.get(begun), 'kept: pinned');
    assert.equal(verdicts.get(unpinned), 'removed: no rule keeps it');
    assert.equal((await stored()).length, 6);
  });

  it('does not count what is known bad, partial or damaged', async () => {
    const knownBad = { since: '2026-11-20T00:00:00Z', reason: 'x', level: 'hash' } as const;
    await plantSet(storage, NOW - DAY, { annotations: { knownBad } });
    await plantSet(storage, NOW - 2 * DAY, { partial: true });
    const cut = await plantSet(storage, NOW - 3 * DAY);
    await putObject(storage, `${cut}/users.sqlite`, Buffer.from('short'));
    const lost = await plantSet(storage, NOW - 4 * DAY);
    rmSync(join(root, lost, 'orders.sqlite'));
    const good = await plantSet(storage, NOW - 5 * DAY);
    const worse = await plantSet(storage, NOW - 6 * DAY);
    const report = await pruning({ keepLast: 1 });
    assert.deepEqual(
      report.sets.map(({ verdict }) => verdict),
      [
        'kept: last 1 of 1 (known bad)',
        'kept: last 1 of 1 (partial)',
        'removed: no rule keeps it (known bad): users.sqlite has 5 instead of 20 bytes',
        'removed: no rule keeps it (known bad): orders.sqlite is missing',
        'kept: newest good set, last 1 of 1',
        'removed: no rule keeps it',
      ],
    );
    assert.deepEqual([(await stored()).includes(good), (await stored()).includes(worse)], [true, false]);
  });

  it('removes nothing while a manifest cannot be read', async () => {
    const [, second] = await plantDays(3);
    await putObject(storage, `${second}/manifest.json`, Buffer.from('{}'));
    await refuses(
      pruning({ keepLast: 1 }),
      /One set of the job shop in .* cannot be read, so that nothing is removed/,
    );
    await refuses(pruning({ keepLast: 1 }, { remove: false }), /is not a valid manifest/);
  });

  it('removes nothing while a set is dated in the future: a clock is wrong', async () => {
    await plantDays(3);
    const ahead = await plantSet(storage, NOW + 30 * 60_000);
    assert.ok(isPruned(await pruning({ keepLast: 4 })), 'half an hour is nothing');
    const far = await plantSet(storage, NOW + 2 * 3_600_000);
    await refuses(
      pruning({ keepLast: 1 }),
      new RegExp(`${far} is dated 20.*, which is in the future .*clocks`),
    );
    assert.ok(existsSync(join(root, ahead)));
  });

  it('removes nothing while a manifest contradicts itself', async () => {
    await plantDays(3);
    await plantSet(storage, NOW - 9 * DAY, {
      manifest: (made) => ({
        ...made,
        startedAt: new Date(NOW - DAY).toISOString(),
        finishedAt: new Date(NOW).toISOString(),
      }),
    });
    await refuses(pruning({ keepLast: 1 }), /contradicts itself/);
  });

  it('keeps a folder that was renamed, and files that are none of ours', async () => {
    const [, , third = ''] = await plantDays(3);
    renameSync(join(root, third), join(root, 'shop', 'before-the-move'));
    const [, , , fourth = ''] = await plantDays(4);
    writeFileSync(join(root, fourth, 'notes.txt'), 'mine');
    const report = await pruning({ keepLast: 1 });
    assert.match(report.sets.map(({ verdict }) => verdict).join(), /kept: its folder was renamed, it was 20/);
    assert.ok(existsSync(join(root, 'shop/before-the-move/manifest.json')));
    assert.deepEqual(readdirSync(join(root, fourth)), ['notes.txt']);
  });

  it('keeps sets of runs that go on, without counting them, but counts the one that was just stored', async () => {
    const [first = '', second = '', third = ''] = await plantDays(3);
    const [, run] = first.split('/');
    const isBusy = (runId: string) => runId === run;
    const verdicts = async (more: Partial<PruneRequest>) =>
      (await pruning({ keepLast: 1 }, { remove: false, isBusy, ...more })).sets.map(({ verdict }) => verdict);
    assert.deepEqual(await verdicts({}), [
      'kept: its run is under way',
      'kept: newest good set, last 1 of 1',
      'removed: no rule keeps it',
    ]);
    assert.deepEqual(
      (await verdicts({ stored: first })).slice(1),
      Array(2).fill('removed: no rule keeps it'),
    );
    const late = (runId: string) => removals().length > 0 && second.endsWith(runId);
    const report = await pruning({ keepLast: 1 }, { isBusy: late });
    assert.equal(report.sets[1]?.verdict, 'kept: its run is under way');
    assert.deepEqual([existsSync(join(root, second)), existsSync(join(root, third))], [true, false]);
  });

  it('keeps what is locked, and says until when', async () => {
    const [, second = '', third = '', fourth = '', fifth = ''] = await plantDays(5);
    const until = (day: string) => ({ until: new Date(`2027-01-${day}T00:00:00Z`) });
    storage.locks.set(`${second}/manifest.json`, until('02'));
    storage.locks.set(`${second}/users.sqlite`, until('03'));
    storage.locks.set(`${second}/`, until('01'));
    storage.locks.set(`${third}/orders.sqlite`, {});
    storage.locks.set(`${third}/`, until('01'));
    // Written anew when it was verified, and locked anew with that.
    storage.locks.set(`${fourth}/annotations.json`, until('09'));
    for (const remove of [false, true]) {
      const report = await pruning({ keepLast: 1 }, { remove });
      assert.ok(isPruned(report));
      assert.deepEqual(
        report.sets.slice(1).map(({ verdict }) => verdict),
        [
          'kept: locked until 2027-01-03T00:00:00.000Z',
          'kept: locked until somebody lifts its legal hold',
          'removed: no rule keeps it',
          'removed: no rule keeps it',
        ],
      );
    }
    assert.deepEqual(
      [second, third, fourth, fifth].map((path) => existsSync(join(root, path))),
      [true, true, false, false],
    );
  });

  it('goes on after a set that cannot be removed, and says so', async () => {
    const [, second = '', third = ''] = await plantDays(4);
    storage.before = (step, path) => {
      if (step === 'remove' && path === `${third}/manifest.json`)
        throw new BackupError('permission', 'refused');
      if (step === 'remove' && path === `${second}/orders.sqlite`) throw new BackupError('permission', 'no');
    };
    const report = await pruning({ keepLast: 1 });
    assert.ok(!isPruned(report));
    assert.equal(report.error, undefined);
    const [, two, three, four] = report.sets;
    assert.deepEqual([three?.kept, three?.verdict], [true, 'kept: it could not be removed']);
    assert.equal(three?.error?.message, `${third}: refused`);
    assert.deepEqual([two?.kept, two?.error?.message], [false, `${second}: no`]);
    assert.deepEqual([four?.kept, four?.error], [false, undefined]);
    assert.deepEqual((await stored()).length, 2);
    // The next pruning removes the set, and its mark; what is left of the other one waits until it is old enough.
    storage.before = () => undefined;
    assert.ok(isPruned(await pruning({ keepLast: 1 })));
    assert.deepEqual([existsSync(join(root, third)), existsSync(join(root, second))], [false, true]);
    assert.ok(isPruned(await pruning({ keepLast: 1 }, { clock: new FakeClock(Date.now() + 6 * 60_000) })));
    assert.ok(!existsSync(join(root, second)));
  });

  it('stops at once when the storage goes away', async () => {
    await plantDays(5);
    storage.before = (step) => {
      if (step === 'remove' && removals().length === 9)
        throw new BackupError('unavailable', 'gone', { transient: true });
    };
    const report = await pruning({ keepLast: 1 });
    assert.equal(report.error?.code ?? report.sets.find(({ error }) => error)?.error?.code, 'unavailable');
    assert.equal(removals().length, 9);
  });

  it('makes room where nothing fits any more', async () => {
    await plantDays(2);
    storage.before = (step) => {
      if (step === 'write') throw new BackupError('no-space', 'full');
    };
    assert.ok(isPruned(await pruning({ keepLast: 1 })));
    assert.equal((await stored()).length, 1);
    assert.equal(readdirSync(join(root, 'shop')).length, 1);
  });

  it('removes nothing where it cannot leave its mark', async () => {
    const sets = await plantDays(2);
    storage.before = (step) => {
      if (step === 'commit') throw new BackupError('permission', 'read-only');
    };
    const report = await pruning({ keepLast: 1 });
    assert.match(report.sets[1]?.error?.message ?? '', /read-only/);
    assert.deepEqual([removals(), await stored()], [[], sets]);
    assert.ok(!files().some((file) => file.includes('removed.json') || file.includes('.partial')));
  });

  it('takes the mark of a killed removal back when the set stays', async () => {
    const [first = '', second = ''] = await plantDays(2);
    for (const path of [first, second]) await putObject(storage, `${path}/removed.json`, Buffer.from('{}'));
    await pruning({ keepLast: 2 });
    assert.deepEqual(
      files().filter((file) => file.includes('removed')),
      [],
    );
    assert.equal((await stored()).length, 2);
  });

  it('stops when the newest good set is gone, changed, or the one to go is pinned meanwhile', async () => {
    const [first = '', second = '', third = ''] = await plantDays(4);
    const whenRemoving = (path: string, act: () => void | Promise<void>) => {
      storage.before = async (step, asked) => {
        if (step !== 'commit' || !asked.startsWith(`${path}/removed`)) return;
        storage.before = () => undefined;
        await act();
      };
    };
    // While the oldest is being removed, the next one is pinned.
    const [, , , fourth = ''] = await stored();
    whenRemoving(fourth, () =>
      putObject(storage, `${third}/annotations.json`, Buffer.from('garbage that may say that it is pinned')),
    );
    const report = await pruning({ keepLast: 2 });
    assert.match(report.sets[2]?.verdict ?? '', /kept: taken for pinned/);
    assert.ok(isPruned(report));
    await plantDays(0);
    await plantSet(storage, NOW - 30 * DAY);
    whenRemoving((await stored()).at(-1) ?? '', () => rmSync(join(root, first, 'manifest.json')));
    const stopped = await pruning({ keepLast: 1 });
    assert.match(stopped.error?.message ?? '', /the newest good set .* was removed or changed meanwhile/);
    assert.ok((await stored()).includes(second));
    assert.match(stopped.sets[1]?.verdict ?? '', /kept: nothing is removed after an error/);
  });

  it('stops when a verification finds the newest good set bad meanwhile', async () => {
    const [first = '', second = '', third = ''] = await plantDays(3);
    const knownBad = { since: '2026-11-20T00:00:00Z', reason: 'x', level: 'hash' } as const;
    storage.before = async (step, asked) => {
      if (step !== 'commit' || !asked.startsWith(`${third}/removed`)) return;
      storage.before = () => undefined;
      const said = annotationsText({ ...NO_ANNOTATIONS, knownBad });
      await putObject(storage, `${first}/annotations.json`, Buffer.from(said));
    };
    const { error } = await pruning({ keepLast: 1 });
    assert.match(error?.message ?? '', /the newest good set .* was removed or changed meanwhile/);
    assert.deepEqual(await stored(), [first, second]);
  });

  it('judges what was listed, whatever is stored meanwhile', async () => {
    await plantDays(3);
    let added = '';
    storage.before = async (step, path) => {
      if (step !== 'commit' || !path.endsWith('removed.json') || added !== '') return;
      added = 'coming';
      added = await plantSet(storage, NOW);
    };
    assert.ok(isPruned(await pruning({ keepLast: 2 })));
    assert.equal((await stored()).length, 3);
    assert.equal((await stored())[0], added);
  });

  it('leaves the newest good set to two prunings at once, whatever their policies are', async () => {
    const [first] = await plantDays(8);
    const [last, tiers] = await Promise.all([
      pruning({ keepLast: 2 }),
      pruning({ keepMonthly: 1 }, { driver: createLocalDestination({ root, reserveMiB: 0 }) }),
    ]);
    assert.deepEqual([last.error, tiers.error], [undefined, undefined]);
    const left = await stored();
    assert.equal(left[0], first);
    assert.equal(left.length, 1);
    assert.deepEqual(readdirSync(join(root, 'shop')).length, 1);
  });

  it('ends when it is aborted, and leaves only whole sets and what a sweep takes', async () => {
    await plantDays(5);
    const abort = new AbortController();
    storage.before = (step, path) => {
      if (step === 'remove' && path.endsWith('RESTORE.md'))
        abort.abort(new BackupError('aborted', 'shutdown'));
    };
    await assert.rejects(pruning({ keepLast: 1 }, { signal: abort.signal }), {
      code: 'aborted',
      message: 'shutdown',
    });
    storage.before = () => undefined;
    assert.equal((await stored()).length, 4);
    const swept = await sweepStorage({
      driver: storage,
      prefixes: [''],
      graceMs: 0,
      remove: true,
      fates: async () => new Map(),
      signal,
    });
    assert.equal(swept.folders.length, 1, JSON.stringify(swept));
    assert.equal(readdirSync(join(root, 'shop')).length, 4);
  });

  it('does not take the remains of a removal that a new copy of the set has begun to replace', async () => {
    await plantDays(1);
    const old = await plantSet(storage, NOW - 50 * DAY);
    rmSync(join(root, old, 'manifest.json'));
    await putObject(storage, `${old}/removed.json`, Buffer.from('{}'));
    const long = new Date(Date.now() - DAY);
    for (const file of readdirSync(join(root, old))) utimesSync(join(root, old, file), long, long);
    writeFileSync(join(root, old, 'orders.sqlite'), 'anew');
    await pruning({ keepLast: 1 }, { clock: new FakeClock(Date.now() + DAY) });
    assert.ok(existsSync(join(root, old, 'users.sqlite')));
  });

  it('works in a folder that is not there', async () => {
    mkdirSync(join(root, 'x'));
    assert.deepEqual((await pruning({ keepLast: 1 }, { prefix: 'x' })).sets, []);
  });
});
