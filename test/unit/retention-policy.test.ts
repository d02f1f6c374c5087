import assert from 'node:assert/strict';
import fc from 'fast-check';
import { BackupError } from '../../lib/errors.ts';
import { TIERS } from '../../lib/retention/buckets.ts';
import { policyOf, type RetentionOptionsInput } from '../../lib/retention/options.ts';
import {
  type Excuse,
  floorOf,
  isKept,
  judge,
  QUALITIES,
  type RetainedSet,
  type SetQuality,
} from '../../lib/retention/policy.ts';
import { verdictText } from '../../lib/retention/reason-text.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Sets at these times, all good; the oldest may come first. */
function setsAt(...times: readonly string[]): RetainedSet[] {
  return times.map((time) => setAt(time));
}

function setAt(time: string, more: Partial<RetainedSet> = {}): RetainedSet {
  return { path: `shop/${time}`, at: Date.parse(time), quality: 'good', tags: [], ...more };
}

function verdicts(sets: readonly RetainedSet[], options: RetentionOptionsInput): string[] {
  return judge(sets, policyOf({ zone: 'UTC', ...options })).map(verdictText);
}

function kept(sets: readonly RetainedSet[], options: RetentionOptionsInput): string[] {
  return judge(sets, policyOf({ zone: 'UTC', ...options }))
    .filter(isKept)
    .map(({ set }) => set.path);
}

/** One a day at this time of day in UTC, the newest last. */
function daily(from: string, count: number): RetainedSet[] {
  return Array.from({ length: count }, (_, day) => {
    const at = Date.parse(from) + day * DAY;
    return { ...setAt(new Date(at).toISOString()), at };
  });
}

describe('a retention policy', () => {
  it('says for each set why it is kept or not', () => {
    const sets = daily('2026-11-10T02:30:00Z', 10);
    assert.deepEqual(verdicts(sets, { keepLast: 2, keepDaily: 3, keepWeekly: 2, keepMonthly: 2 }), [
      'kept: newest good set, last 1 of 2, daily 2026-11-19, weekly 2026-W47, monthly 2026-11',
      'kept: last 2 of 2, daily 2026-11-18',
      'kept: daily 2026-11-17',
      'removed: no rule keeps it',
      'kept: weekly 2026-W46',
      'removed: no rule keeps it',
      'removed: no rule keeps it',
      'removed: no rule keeps it',
      'removed: no rule keeps it',
      'removed: no rule keeps it',
    ]);
  });

  it('keeps the newest of each hour, day, week, month and year', () => {
    const sets = setsAt(
      '2026-12-31T23:10:00Z',
      '2026-12-31T23:50:00Z',
      '2027-01-01T00:10:00Z',
      '2027-01-03T10:00:00Z',
      '2027-01-04T10:00:00Z',
    );
    const keptBy = (tier: string) =>
      kept(sets, { [`keep${tier}`]: 9 }).map((path) => path.slice('shop/'.length, -4));
    assert.deepEqual(keptBy('Hourly'), [
      '2027-01-04T10:00',
      '2027-01-03T10:00',
      '2027-01-01T00:10',
      '2026-12-31T23:50',
    ]);
    assert.deepEqual(keptBy('Daily'), keptBy('Hourly'));
    // 3 January is the Sunday of the week that 31 December is in.
    assert.deepEqual(keptBy('Weekly'), ['2027-01-04T10:00', '2027-01-03T10:00']);
    assert.deepEqual(keptBy('Monthly'), ['2027-01-04T10:00', '2026-12-31T23:50']);
    assert.deepEqual(keptBy('Yearly'), ['2027-01-04T10:00', '2026-12-31T23:50']);
  });

  it('names the weeks at the ends of years as ISO 8601 does', () => {
    const weekOf = (time: string) =>
      policyOf({ keepWeekly: 1, zone: 'UTC' }).buckets.nameOf('weekly', Date.parse(time));
    for (const [time, week] of [
      ['2026-01-01T00:00:00Z', '2026-W01'],
      ['2024-12-30T00:00:00Z', '2025-W01'],
      ['2024-12-29T23:59:59Z', '2024-W52'],
      ['2027-01-03T23:59:59Z', '2026-W53'],
      ['2027-01-04T00:00:00Z', '2027-W01'],
      ['2023-01-01T12:00:00Z', '2022-W52'],
      ['2020-12-31T12:00:00Z', '2020-W53'],
    ] as const) {
      assert.equal(weekOf(time), week, time);
    }
  });

  it('counts days in its time zone', () => {
    // 23:30 in Berlin, and 0:30 of the next day.
    const sets = setsAt('2026-11-22T22:30:00Z', '2026-11-22T23:30:00Z');
    assert.equal(kept(sets, { keepDaily: 2, zone: 'UTC' }).length, 1);
    assert.equal(kept(sets, { keepDaily: 2, zone: 'Europe/Berlin' }).length, 2);
    assert.equal(kept(sets, { keepMonthly: 5, zone: 'Pacific/Kiritimati' }).length, 1);
  });

  it('takes the hour that comes twice in autumn for two, and misses none in spring', () => {
    const autumn = setsAt('2026-10-25T00:30:00Z', '2026-10-25T01:30:00Z');
    assert.deepEqual(verdicts(autumn, { keepHourly: 5, zone: 'Europe/Berlin' }), [
      'kept: newest good set, hourly 2026-10-25T02+01:00',
      'kept: hourly 2026-10-25T02+02:00',
    ]);
    assert.equal(kept(autumn, { keepDaily: 5, zone: 'Europe/Berlin' }).length, 1);
    const spring = setsAt('2026-03-29T00:30:00Z', '2026-03-29T01:30:00Z');
    assert.deepEqual(verdicts(spring, { keepHourly: 5, zone: 'Europe/Berlin' }), [
      'kept: newest good set, hourly 2026-03-29T03+02:00',
      'kept: hourly 2026-03-29T01+01:00',
    ]);
    // The day of 25 hours is one day, whose last set counts.
    const day = setsAt('2026-10-24T22:00:00Z', '2026-10-25T22:59:00Z', '2026-10-25T23:00:00Z');
    assert.deepEqual(verdicts(day, { keepDaily: 2, zone: 'Europe/Berlin' }), [
      'kept: newest good set, daily 2026-10-26',
      'kept: daily 2026-10-25',
      'removed: no rule keeps it',
    ]);
  });

  it('counts age from the newest set, by the calendar', () => {
    const sets = setsAt(
      '2026-03-31T12:00:00Z',
      '2026-02-28T12:00:01Z',
      '2026-02-28T12:00:00Z',
      '2026-02-27T12:00:00Z',
    );
    // A month before 31 March is the end of February.
    assert.equal(kept(sets, { keepWithin: '1m' }).length, 2);
    assert.equal(kept(sets, { keepWithin: '1m1h' }).length, 3);
    assert.equal(kept(sets, { keepWithin: '1y2m3w4d5h' }).length, 4);
    const [newest] = verdicts(sets, { keepWithin: '30d' });
    assert.equal(newest, 'kept: newest good set, within 30d');
    // A day before noon is noon, also when the clocks were changed: 25 hours.
    const autumn = setsAt('2026-10-25T11:00:00Z', '2026-10-24T10:30:00Z', '2026-10-24T09:59:00Z');
    assert.equal(kept(autumn, { keepWithin: '1d', zone: 'Europe/Berlin' }).length, 2);
    assert.equal(kept(autumn, { keepWithin: '24h', zone: 'Europe/Berlin' }).length, 1);
  });

  it('keeps what is pinned or tagged, which takes no place of others', () => {
    const sets = daily('2026-11-10T02:30:00Z', 5).map((set, index) => ({
      ...set,
      ...(index === 4 || index === 0 ? { excused: { rule: 'pinned' } as const } : {}),
      tags: index === 3 ? ['pre-migration', 'x'] : ['y'],
    }));
    assert.deepEqual(verdicts(sets, { keepLast: 1, keepTags: ['other', 'pre-migration'] }), [
      'kept: newest good set, pinned',
      'kept: tag pre-migration',
      'kept: last 1 of 1',
      'removed: no rule keeps it',
      'kept: pinned',
    ]);
  });

  it('lets sets that are worth less take no place of better ones, and keeps them by the same rules', () => {
    const qualities: SetQuality[] = ['good', 'good', 'partial', 'bad', 'partial'];
    const sets = daily('2026-11-10T02:30:00Z', 5).map((set, index) => ({
      ...set,
      quality: qualities[index] ?? 'good',
    }));
    assert.deepEqual(verdicts(sets, { keepLast: 2 }), [
      'kept: last 1 of 2 (partial)',
      'kept: last 2 of 2 (known bad)',
      'kept: last 2 of 2 (partial)',
      'kept: newest good set, last 1 of 2',
      'kept: last 2 of 2',
    ]);
    assert.deepEqual(verdicts(sets, { keepLast: 1 }), [
      'kept: last 1 of 1 (partial)',
      'removed: no rule keeps it (known bad)',
      'removed: no rule keeps it (partial)',
      'kept: newest good set, last 1 of 1',
      'removed: no rule keeps it',
    ]);
  });

  it('keeps the newest good set though everything since then failed', () => {
    const bad = daily('2026-11-10T02:30:00Z', 40).map((set) => ({ ...set, quality: 'bad' as const }));
    const good = setAt('2025-01-01T02:30:00Z');
    const all = [...bad, good];
    for (const options of [{ keepWithin: '1d' }, { keepLast: 1 }, { keepHourly: 1 }]) {
      assert.match(verdicts(all, options).at(-1) ?? '', /^kept: newest good set/);
    }
    assert.match(verdicts(bad, { keepLast: 1 })[0] ?? '', /^kept: newest set, there is no good one/);
  });

  it('does not count a set whose run goes on, nor one that was renamed', () => {
    const [older, newer] = daily('2026-11-10T02:30:00Z', 2) as [RetainedSet, RetainedSet];
    for (const excused of [{ rule: 'busy' }, { rule: 'renamed', set: 'x' }] as const) {
      const texts = verdicts([older, { ...newer, excused }], { keepLast: 1, keepWithin: '1h' });
      assert.match(texts[0] ?? '', /^kept: its (run is under way|folder was renamed, it was x)$/);
      assert.equal(texts[1], 'kept: newest good set, last 1 of 1, within 1h');
    }
  });

  it('does not rely on a set whose annotations cannot be read: perhaps it is known bad', () => {
    const [older, newer] = daily('2026-11-10T02:30:00Z', 2) as [RetainedSet, RetainedSet];
    const unread = { ...newer, excused: { rule: 'annotations', problem: 'it is not JSON' } as const };
    const texts = verdicts([older, unread], { keepWithin: '1h' });
    assert.match(texts[0] ?? '', /^kept: taken for pinned/);
    assert.equal(texts[1], 'kept: newest good set, within 1h');
  });

  it('is refused when it keeps nothing, or is wrong', () => {
    for (const [options, message] of [
      [{}, /keeps nothing/],
      [{ keepLast: 0, keepTags: ['a'] }, /keeps nothing/],
      [{ keepLast: -1 }, /retention policy is wrong/],
      [{ keepLast: 1.5 }, /retention policy is wrong/],
      [{ keepLast: 1, zone: 'Europe/Berln' }, /is no time zone/],
      [{ keepWithin: '30' }, /"30" is no duration: write 30d/],
      [{ keepWithin: '0d' }, /is no duration/],
      [{ keepWithin: '1m2y' }, /in this order/],
      [{ keepWithin: '1h1h' }, /is no duration/],
      [{ keepWithin: '-1d' }, /is no duration/],
      [{ keepWithin: '101y' }, /100 years at most/],
      [{ keepWithin: '1d', keepTags: ['no blanks'] }, /retention policy is wrong/],
    ] as const) {
      assert.throws(
        () => policyOf(options as RetentionOptionsInput),
        (error) => {
          assert.ok(error instanceof BackupError);
          assert.equal(error.code, 'invalid-config');
          assert.match(error.message, message);
          return true;
        },
      );
    }
  });
});

describe('laws of retention', () => {
  const excuse = fc.option(
    fc.constantFrom<Excuse>(
      { rule: 'pinned' },
      { rule: 'busy' },
      { rule: 'annotations', problem: 'x' },
      { rule: 'renamed', set: 'x' },
    ),
    { nil: undefined, freq: 8 },
  );
  // Close together, over the changes of clocks and the ends of years, and equal.
  const instant = fc.oneof(
    fc.integer({ min: 0, max: 4000 }).map((hour) => Date.parse('2026-10-20T00:00:00Z') + hour * HOUR),
    fc.integer({ min: 0, max: 20 * 365 }).map((day) => Date.parse('2016-12-20T23:30:00Z') + day * DAY),
    fc.integer({ min: 0, max: 400 }).map((step) => Date.parse('2026-10-24T20:00:00Z') + step * 600_000),
  );
  const set = fc
    .record({
      at: instant,
      quality: fc.constantFrom(...QUALITIES, 'good' as const, 'good' as const),
      tags: fc.subarray(['a', 'b']),
      excused: excuse,
    })
    .map(({ excused, ...rest }) => ({ ...rest, ...(excused === undefined ? {} : { excused }) }));
  const sets = fc
    .array(set, { maxLength: 60 })
    .map((list) => list.map((each, index) => ({ ...each, path: `shop/${each.at}-${index % 7}-${index}` })));
  const small = fc.integer({ min: 0, max: 5 });
  const policy = fc
    .record({
      keepLast: small,
      keepHourly: small,
      keepDaily: small,
      keepWeekly: small,
      keepMonthly: small,
      keepYearly: small,
      keepWithin: fc.constantFrom('', '', '5h', '3d', '2w', '1m', '1y2m'),
      keepTags: fc.subarray(['a']),
      zone: fc.constantFrom(
        'UTC',
        'Europe/Berlin',
        'America/New_York',
        'Asia/Kathmandu',
        'Australia/Lord_Howe',
      ),
    })
    .filter(
      ({ keepTags, zone, keepWithin, ...counts }) =>
        keepWithin !== '' || Object.values(counts).some((value) => value > 0),
    );
  const pathsKept = (all: readonly RetainedSet[], options: RetentionOptionsInput) =>
    new Set(
      judge(all, policyOf(options))
        .filter(isKept)
        .map(({ set: { path } }) => path),
    );
  const includes = (more: ReadonlySet<string>, less: ReadonlySet<string>) =>
    [...less].every((path) => more.has(path));

  it('what is kept is kept again when only that is left', () => {
    fc.assert(
      fc.property(sets, policy, (all, options) => {
        const first = pathsKept(all, options);
        const left = all.filter(({ path }) => first.has(path));
        assert.deepEqual(pathsKept(left, options), first);
      }),
      { numRuns: 1000 },
    );
  });

  it('the order in which sets are listed does not matter', () => {
    const shuffled = sets.chain((all) =>
      fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })),
    );
    fc.assert(
      fc.property(shuffled, policy, ([all, other], options) => {
        assert.deepEqual(judge(other, policyOf(options)), judge(all, policyOf(options)));
      }),
    );
  });

  it('a rule more, or a greater count, never keeps less', () => {
    const names = ['keepLast', ...TIERS.map((tier) => `keep${tier[0]?.toUpperCase()}${tier.slice(1)}`)];
    fc.assert(
      fc.property(
        sets,
        policy,
        fc.constantFrom(...names),
        fc.integer({ min: 1, max: 4 }),
        (all, options, name, by) => {
          const more = {
            ...options,
            [name]: ((options as unknown as Record<string, number>)[name] ?? 0) + by,
          };
          assert.ok(includes(pathsKept(all, more), pathsKept(all, options)));
          assert.ok(includes(pathsKept(all, { ...options, keepTags: ['a', 'b'] }), pathsKept(all, options)));
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('the newest good set is kept, and a job is never emptied', () => {
    fc.assert(
      fc.property(sets, policy, (all, options) => {
        const left = pathsKept(all, options);
        assert.equal(left.size === 0, all.length === 0);
        const newest = floorOf(judge(all, policyOf(options)).map((verdict) => verdict.set));
        if (newest !== undefined) assert.ok(left.has(newest.path));
        const good = all
          .filter(
            ({ quality, excused }) =>
              quality === 'good' && excused?.rule !== 'busy' && excused?.rule !== 'renamed',
          )
          .map(({ at }) => at);
        const latest = Math.max(...good);
        if (good.length > 0)
          assert.ok(
            all.some(({ at, path, quality }) => at === latest && quality === 'good' && left.has(path)),
          );
      }),
      { numRuns: 1000 },
    );
  });

  it('what is excused is kept, and a set more never makes a better one go', () => {
    fc.assert(
      fc.property(sets, set, policy, (all, extra, options) => {
        const left = pathsKept(all, options);
        for (const { path, excused } of all) if (excused !== undefined) assert.ok(left.has(path));
        // One that is worth less than all of these.
        const others = all.filter(({ quality }) => quality === 'good');
        const worse = { ...extra, quality: 'partial' as const, path: 'shop/extra' };
        const before = pathsKept(others, options);
        assert.ok(includes(pathsKept([...others, worse], options), before));
      }),
      { numRuns: 500 },
    );
  });

  it('a set that is not seen makes no other one go', () => {
    fc.assert(
      fc.property(sets, fc.nat(), policy, (all, which, options) => {
        if (all.length === 0) return;
        const unseen = all[which % all.length]?.path ?? '';
        const left = pathsKept(all, options);
        left.delete(unseen);
        const rest = all.filter(({ path }) => path !== unseen);
        assert.ok(includes(pathsKept(rest, options), left));
      }),
      { numRuns: 500 },
    );
  });
});
