import assert from 'node:assert/strict';
import fc from 'fast-check';
import { TimeZone } from '../../lib/schedule/time-zone.ts';
import { Timetable } from '../../lib/schedule/timetable.ts';
import { firesOf, zoneOracle } from '../support/zone-oracle.ts';

/** Clocks that change at night, at midnight, by half an hour, on the southern half of the earth, and never. */
const ZONES = [
  'Europe/Berlin',
  'America/New_York',
  'America/Santiago',
  'Australia/Lord_Howe',
  'Asia/Kolkata',
] as const;
const FROM = Date.parse('2026-01-01T00:00:00Z');
const TO = Date.parse('2036-01-01T00:00:00Z');
const HOUR_MS = 3_600_000;

const at = (text: string) => Date.parse(text);
const utc = (instant: number) => new Date(instant).toISOString();

function fires(cron: string, zone: string, from: string, count: number): string[] {
  const timetable = new Timetable(cron, zone);
  const found: number[] = [];
  for (let last = at(from); found.length < count; found.push(last)) last = timetable.next(last);
  return found.map(utc);
}

function all(timetable: Timetable, from: number, to: number): number[] {
  const found: number[] = [];
  for (let last = timetable.next(from); last <= to; last = timetable.next(last)) found.push(last);
  return found;
}

function times(hours: readonly number[], minutes: readonly number[]) {
  return hours.flatMap((hour) => minutes.map((minute) => ({ hour, minute })));
}

const everyHour = Array.from({ length: 24 }, (_, hour) => hour);

describe('a timetable', () => {
  it('fires right after the gap when its time does not exist', () => {
    assert.deepEqual(fires('30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', 2), [
      '2026-03-29T01:00:00.000Z',
      '2026-03-30T00:30:00.000Z',
    ]);
    assert.deepEqual(fires('0 0 * * *', 'America/Santiago', '2026-09-05T12:00:00Z', 2), [
      '2026-09-06T04:00:00.000Z',
      '2026-09-07T03:00:00.000Z',
    ]);
  });

  it('fires once for several times that do not exist, and not again for the one at the end of the gap', () => {
    assert.deepEqual(fires('*/20 2,3 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', 4), [
      '2026-03-29T01:00:00.000Z',
      '2026-03-29T01:20:00.000Z',
      '2026-03-29T01:40:00.000Z',
      '2026-03-30T00:00:00.000Z',
    ]);
  });

  it('fires the first time when its time exists twice', () => {
    assert.deepEqual(fires('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z', 2), [
      '2026-10-25T00:30:00.000Z',
      '2026-10-26T01:30:00.000Z',
    ]);
    assert.deepEqual(fires('45 1 * * *', 'Australia/Lord_Howe', '2026-04-04T00:00:00Z', 2), [
      '2026-04-04T14:45:00.000Z',
      '2026-04-05T15:15:00.000Z',
    ]);
  });

  it('is asked inside the hour that comes a second time, too', () => {
    assert.deepEqual(fires('30 2 * * *', 'Europe/Berlin', '2026-10-25T01:10:00Z', 1), [
      '2026-10-26T01:30:00.000Z',
    ]);
    assert.deepEqual(fires('*/20 2 * * *', 'Europe/Berlin', '2026-10-25T01:05:00Z', 1), [
      '2026-10-26T01:00:00.000Z',
    ]);
  });

  it('counts real hours when it fires in every hour', () => {
    const gaps = (from: string, count: number, zone: string) => {
      const found = fires('*/30 * * * *', zone, from, count).map(at);
      return new Set(found.slice(1).map((instant, index) => instant - (found[index] ?? 0)));
    };
    for (const zone of ZONES) {
      assert.deepEqual(gaps('2026-01-01T00:00:00Z', 20_000, zone), new Set([HOUR_MS / 2]), zone);
    }
  });

  it('does not fire on a day that a country left out, but right after it', () => {
    assert.deepEqual(fires('0 12 * * *', 'Pacific/Apia', '2011-12-29T12:00:00Z', 3), [
      '2011-12-29T22:00:00.000Z',
      '2011-12-30T10:00:00.000Z',
      '2011-12-30T22:00:00.000Z',
    ]);
  });

  it('takes either of two days when both are given, and L for the last of the month', () => {
    assert.deepEqual(fires('0 12 13 * fri', 'UTC', '2026-02-01T00:00:00Z', 3), [
      '2026-02-06T12:00:00.000Z',
      '2026-02-13T12:00:00.000Z',
      '2026-02-20T12:00:00.000Z',
    ]);
    assert.deepEqual(fires('0 12 L * *', 'UTC', '2028-01-31T13:00:00Z', 2), [
      '2028-02-29T12:00:00.000Z',
      '2028-03-31T12:00:00.000Z',
    ]);
  });

  describe('over ten years', function () {
    this.timeout(120_000);
    const crons = [
      { cron: '30 2 * * *', expected: times([2], [30]) },
      { cron: '0 0 * * *', expected: times([0], [0]) },
      { cron: '*/20 0-3 * * *', expected: times([0, 1, 2, 3], [0, 20, 40]) },
      {
        cron: '15 */2 * * *',
        expected: times(
          everyHour.filter((hour) => hour % 2 === 0),
          [15],
        ),
      },
    ];
    for (const zone of ZONES) {
      it(`fires each of its times once, none twice, none left out: ${zone}`, () => {
        const oracle = zoneOracle(zone, FROM - 3 * 24 * HOUR_MS, TO + 3 * 24 * HOUR_MS);
        for (const { cron, expected } of crons) {
          const found = all(new Timetable(cron, zone), FROM, TO);
          assert.deepEqual(found.map(utc), firesOf(oracle, expected, FROM, TO).map(utc), cron);
        }
      });
    }
  });

  it('finds the last fire as if it had counted them all', () => {
    const zone = fc.constantFrom(...ZONES);
    const cron = fc.constantFrom('30 2 * * *', '*/7 * * * *', '0 3 1 * *', '0 0 29 2 *', '10 1-3 * * sun');
    const instant = fc.integer({ min: FROM, max: TO });
    const span = fc.integer({ min: 0, max: 3 * 24 * HOUR_MS });
    fc.assert(
      fc.property(zone, cron, instant, span, (name, text, from, length) => {
        const timetable = new Timetable(text, name);
        const expected = all(timetable, from, from + length);
        assert.equal(timetable.last(from, from + length), expected.at(-1));
        assert.equal(timetable.count(from, from + length, 10_000), expected.length);
      }),
      { numRuns: 200 },
    );
  });

  it('finds the last fire of long ago without counting all since then', () => {
    const yearly = new Timetable('0 0 29 2 *', 'Europe/Berlin');
    assert.equal(utc(yearly.last(0, at('2103-12-31T00:00:00Z')) ?? 0), '2096-02-28T23:00:00.000Z');
    const minutely = new Timetable('* * * * *', 'UTC');
    assert.equal(utc(minutely.last(0, at('2030-05-05T05:05:30Z')) ?? 0), '2030-05-05T05:05:00.000Z');
    assert.equal(minutely.count(0, at('2030-05-05T05:05:30Z'), 1000), 1000);
    assert.equal(minutely.last(at('2030-05-05T05:05:00Z'), at('2030-05-05T05:05:59Z')), undefined);
  });

  for (const [cron, reason] of [
    ['', /needs five fields/],
    ['* * * *', /needs five fields/],
    ['0 30 2 * * *', /needs five fields/],
    ['2026-01-01T00:00:00', /needs five fields/],
    ['@reboot', /needs five fields/],
    ['61 * * * *', /a minute is 0 to 59/],
    ['0 25 * * *', /an hour is 0 to 23/],
    ['0 0 0 * *', /a day of the month is 1 to 31/],
    ['0 0 32 * *', /a day of the month is 1 to 31/],
    ['0 0 1 13 *', /a month is 1 to 12/],
    ['0 0 * * 9', /a day of the week is 0 to 7/],
    ['*/0 * * * *', /illegal stepping/],
    ['-1 * * * *', /is no cron expression/],
    ['a b c d e', /is no cron expression/],
    ['0 0 30 2 *', /never fires: no month has that day/],
    ['0 0 31 4,6,9,11 *', /never fires/],
  ] as const) {
    it(`refuses ${JSON.stringify(cron)} with its reason`, () => {
      assert.throws(() => new Timetable(cron, 'UTC'), { code: 'invalid-config', message: reason });
    });
  }

  for (const zone of ['Europe/Berln', 'Mars/Olympus', '', 'W. Europe Standard Time']) {
    it(`refuses the time zone ${JSON.stringify(zone)}`, () => {
      assert.throws(() => new Timetable('@daily', zone), {
        code: 'invalid-config',
        message: /is no time zone: use a name of the IANA database/,
      });
    });
  }
});

describe('a time zone', () => {
  it('says what its clocks are ahead of UTC, also before 1970 and by fractions of an hour', () => {
    assert.equal(new TimeZone('Asia/Kolkata').offsetAt(FROM), 5.5 * HOUR_MS);
    assert.equal(new TimeZone('America/New_York').offsetAt(at('2026-07-01T00:00:00.999Z')), -4 * HOUR_MS);
    assert.equal(new TimeZone('UTC').offsetAt(at('1969-12-31T23:59:59.500Z')), 0);
  });
});
