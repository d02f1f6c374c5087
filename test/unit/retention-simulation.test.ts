import assert from 'node:assert/strict';
import fc from 'fast-check';
import { calendarOf, fateOn } from '../../lib/retention/calendar.ts';
import { addDuration, parseCalendarDuration as duration } from '../../lib/retention/calendar-duration.ts';
import { calendarText } from '../../lib/retention/calendar-text.ts';
import { policyOf, type RetentionOptionsInput } from '../../lib/retention/options.ts';
import { isKept, judge, type RetainedSet } from '../../lib/retention/policy.ts';
import { ruleOn, type Simulation, simulate } from '../../lib/retention/simulate.ts';
import { TimeZone } from '../../lib/schedule/time-zone.ts';

const START = '2026-10-20T00:30:00Z';

function simulated(options: RetentionOptionsInput, span: string, every: string, start = START): Simulation {
  const plan = { start: Date.parse(start), span: duration(span), every: duration(every) };
  return simulate(policyOf({ zone: 'Europe/Berlin', ...options }), plan);
}

/** Dates of the backups that are there on the last day. */
function left(simulation: Simulation): string[] {
  const last = simulation.days.length - 1;
  return simulation.backups
    .filter((backup) => ruleOn(backup, last) !== undefined)
    .map(({ day }) => simulation.days[day]?.date ?? '');
}

describe('a simulation of retention', () => {
  it('tells what is there at the end of each day', () => {
    const simulation = simulated({ keepDaily: 3 }, '5d', '1d');
    assert.deepEqual(simulation.days, [
      { date: '2026-10-20', sets: 1, oldest: '2026-10-20' },
      { date: '2026-10-21', sets: 2, oldest: '2026-10-20' },
      { date: '2026-10-22', sets: 3, oldest: '2026-10-20' },
      { date: '2026-10-23', sets: 3, oldest: '2026-10-21' },
      { date: '2026-10-24', sets: 3, oldest: '2026-10-22' },
      { date: '2026-10-25', sets: 3, oldest: '2026-10-22' },
    ]);
    assert.deepEqual(left(simulation), ['2026-10-22', '2026-10-23', '2026-10-24']);
    assert.deepEqual(simulation.backups[0]?.stays, [{ day: 0, rule: 'daily' }, { day: 3 }]);
  });

  it('makes backups at the same time of the day, whatever the clocks do', () => {
    const zone = new TimeZone('Europe/Berlin');
    const { backups } = simulated({ keepLast: 1 }, '10d', '1d');
    assert.equal(backups.length, 10);
    const times = backups.map(({ at }) => new Date(zone.localAt(Date.parse(at))).toISOString().slice(11, 16));
    assert.deepEqual(new Set(times), new Set(['02:30']));
    assert.equal(
      simulated({ keepLast: 1 }, '2d', '1h', '2026-10-24T00:00:00Z').backups.length,
      49,
      '25 hours in one of them',
    );
  });

  it('tells which rule keeps a set at first, and which later', () => {
    const { backups } = simulated({ keepLast: 2, keepDaily: 4, keepMonthly: 3 }, '100d', '1d');
    // 31 October.
    assert.deepEqual(
      backups[11]?.stays.map(({ rule }) => rule),
      ['last', 'daily', 'monthly', undefined],
    );
  });

  it('comes to steady numbers for a usual policy', () => {
    const { days } = simulated({ keepLast: 3, keepDaily: 14, keepWeekly: 8, keepMonthly: 12 }, '2y', '1d');
    const later = days.slice(450).map(({ sets }) => sets);
    assert.ok(
      Math.min(...later) >= 28 && Math.max(...later) <= 32,
      `${Math.min(...later)} to ${Math.max(...later)}`,
    );
  });

  it('law: it keeps what the policy keeps of all backups at once, for rules that do not look back', () => {
    const counts = fc.record({
      keepLast: fc.integer({ min: 0, max: 4 }),
      keepDaily: fc.integer({ min: 0, max: 5 }),
      keepWeekly: fc.integer({ min: 0, max: 3 }),
      keepMonthly: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(counts, fc.constantFrom('1d', '7h', '3d'), (options, every) => {
        const simulation = simulated(options, '70d', every);
        const sets = simulation.backups.map(({ at }): RetainedSet => {
          return { path: at, at: Date.parse(at), quality: 'good', tags: [] };
        });
        const last = simulation.days.length - 1;
        const kept = simulation.backups
          .filter((backup) => ruleOn(backup, last) !== undefined)
          .map(({ at }) => at);
        const judged = judge(sets, policyOf({ zone: 'Europe/Berlin', ...options })).filter(isKept);
        assert.deepEqual(kept, judged.map(({ set }) => set.path).reverse());
      }),
      { numRuns: 30 },
    );
  });

  it('is refused when it would take too long', () => {
    assert.throws(() => simulated({ keepLast: 1 }, '10y', '1h'), /simulate a shorter time/);
    assert.throws(() => simulated({ keepLast: 1 }, '40y', '1m'), /too long to be simulated/);
  });
});

describe('the calendar of a simulation', () => {
  it('law: the sets of all days come to what is stored, on each day', () => {
    for (const every of ['1d', '6h', '1w']) {
      const calendar = calendarOf(simulated({ keepLast: 3, keepDaily: 5, keepWeekly: 4 }, '60d', every));
      for (const [day, stored] of calendar.stored.entries()) {
        const sum = calendar.dates.reduce(
          (total, _, made) => total + (fateOn(calendar, made, day)?.sets ?? 0),
          0,
        );
        assert.equal(sum, stored, `${every}, day ${day}`);
      }
    }
  });

  it('is a line for each week', () => {
    const text = calendarText(calendarOf(simulated({ keepLast: 2, keepWeekly: 3 }, '20d', '1d')));
    assert.deepEqual(text.split('\n'), [
      '           Mon  Tue  Wed  Thu  Fri  Sat  Sun',
      '2026-W43         1·   2·   2·   2·   2·   2w',
      '2026-W44    2·   3·   3·   3·   3·   3·   3w',
      '2026-W45    3·   4·   4·   4·   4·   4l   4l',
      '2026-W46    4',
      '',
      'Each day: how many sets are stored at its end, and what keeps its own on the last day (l last, w weekly; · removed)',
      'On 2026-11-09 there are 4 sets, the oldest of 2026-10-25',
      'At most there are 4 sets, first on 2026-11-03 (days of Europe/Berlin)',
    ]);
  });
});

describe('durations of the calendar', () => {
  it('are added by the calendar, and hours by the clock', () => {
    const berlin = new TimeZone('Europe/Berlin');
    const after = (from: string, text: string, count = 1) =>
      new Date(addDuration(Date.parse(from), duration(text), berlin, count)).toISOString();
    for (const [from, text, count, to] of [
      ['2026-01-31T12:00:00Z', '1m', 1, '2026-02-28T12:00:00Z'],
      ['2026-01-31T12:00:00Z', '1m', 2, '2026-03-31T11:00:00Z'],
      ['2024-02-29T12:00:00Z', '1y', 1, '2025-02-28T12:00:00Z'],
      ['2026-03-28T12:00:00Z', '1d', 1, '2026-03-29T11:00:00Z'],
      ['2026-03-28T12:00:00Z', '24h', 1, '2026-03-29T12:00:00Z'],
      ['2026-03-31T10:00:00Z', '1y2m', -1, '2025-01-31T11:00:00Z'],
      ['2026-11-23T00:00:00Z', '2w', -1, '2026-11-09T00:00:00Z'],
    ] as const) {
      assert.equal(after(from, text, count), new Date(to).toISOString(), `${from} ${text} ${count}`);
    }
  });
});
