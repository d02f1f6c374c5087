import assert from 'node:assert/strict';
import { cronOf, scheduleOptions, timetableOf } from '../../lib/schedule/options.ts';
import { hostTimeZone, TimeZone } from '../../lib/schedule/time-zone.ts';
import { readSettings } from '../../nodes/forms/settings.ts';
import { dateAndTime, offsetText, shortTime } from '../../nodes/triggers/local-time.ts';
import { nextFires } from '../../nodes/triggers/next-fires.ts';
import { scheduleNode } from '../../nodes/triggers/schedule.ts';
import { commandOf } from '../../nodes/triggers/schedule-command.ts';
import { FakeClock } from '../support/fake-clock.ts';

const daily = { every: 'day', time: '02:30' };

function settingsOf(raw: object) {
  const result = readSettings(scheduleNode, raw as Record<string, unknown>);
  if ('problems' in result) assert.fail(JSON.stringify(result.problems));
  return result.settings;
}

/** As Node-RED takes environment variables. */
function variable(name: string): string {
  return `\${${name}}`;
}

function problemsOf(raw: object): string[] {
  const result = readSettings(scheduleNode, raw as Record<string, unknown>);
  if (!('problems' in result)) return [];
  return result.problems.map(({ field, message }) => `${field} ${message}`);
}

describe('the settings of a schedule', () => {
  for (const [settings, cron] of [
    [daily, '30 2 * * *'],
    [{ every: 'week', weekdays: ['mon', 'fri'], time: '23:05' }, '5 23 * * mon,fri'],
    [{ every: 'month', day: '15', time: '0:00' }, '0 0 15 * *'],
    [{ every: 'month', day: 'last', time: '06:00' }, '0 6 l * *'],
    [{ every: 'hours', hours: '6', minute: 10 }, '10 */6 * * *'],
    [{ every: 'hours', hours: '1', minute: 0 }, '0 * * * *'],
    [{ every: 'cron', cron: '@weekly' }, '@weekly'],
  ] as const) {
    it(`stand for a cron expression: ${cron}`, () => {
      const options = scheduleOptions.parse(settings);
      assert.equal(cronOf(options), cron);
      assert.equal(timetableOf(options).zone.name, hostTimeZone());
    });
  }

  it('are filled in as most people want them', () => {
    assert.deepEqual(settingsOf({ every: 'week' }), {
      name: '',
      every: 'week',
      weekdays: ['mon', 'tue', 'wed', 'thu', 'fri'],
      time: '02:30',
      overlap: 'skip',
      catchUp: 24,
      jitter: 0,
      zone: undefined,
    });
  });

  for (const [what, change, problem] of [
    ['an impossible cron', { every: 'cron', cron: '0 0 30 2 *' }, /^cron ".*" never fires: no month/],
    ['a cron with a wrong value', { every: 'cron', cron: '61 * * * *' }, /^cron .*a minute is 0 to 59$/],
    ['no cron', { every: 'cron', cron: '' }, /^cron is missing$/],
    ['a cron of six fields', { every: 'cron', cron: '0 0 2 * * *' }, /^cron .*needs five fields/],
    ['an unknown zone', { zone: 'Europe/Berln' }, /^zone "Europe\/Berln" is no time zone/],
    ['a time that is none', { time: '24:00' }, /^time does not have the form/],
    [
      'a weekday that is none',
      { every: 'week', weekdays: ['mon', 'fry'] },
      /^weekdays entry 2 must be one of/,
    ],
    ['no weekday', { every: 'week', weekdays: [] }, /^weekdays is missing$/],
    ['a day that not every month has', { every: 'month', day: '31' }, /^day does not have the form/],
    ['hours that no day is divided by', { every: 'hours', hours: '5' }, /^hours must be one of 1, 2, 3/],
    ['a negative jitter', { jitter: -1 }, /^jitter must be at least 0$/],
    ['a negative catch-up', { catchUp: -0.5 }, /^catchUp must be at least 0$/],
    ['a catch-up of years', { catchUp: 10_000 }, /^catchUp must be at most 744$/],
    ['a jitter of days', { jitter: 100_000 }, /^jitter must be at most 86400$/],
    ['an overlap that is none', { overlap: 'wait' }, /^overlap must be one of skip, queue$/],
    ['a variable that is not set', { zone: variable('NO_SUCH_ZONE') }, /^zone holds .* was not replaced/],
  ] as const) {
    it(`are refused with ${what}`, () => {
      const problems = problemsOf({ ...daily, ...change });
      assert.equal(problems.length, 1, problems.join());
      assert.match(problems[0] ?? '', problem);
    });
  }

  it('tell of a wrong expression and a wrong zone at once', () => {
    const problems = problemsOf({ every: 'cron', cron: '0 0 31 2 *', zone: 'Nowhere' });
    assert.deepEqual(
      problems.map((problem) => problem.split(' ')[0]),
      ['cron', 'zone'],
    );
  });
});

describe('the next fires that the form shows', () => {
  const clock = new FakeClock('2026-10-23T12:00:00Z');

  it('are five, in the time zone of the schedule, over a change of its clocks', () => {
    const { rows, values, text } = nextFires(settingsOf({ ...daily, zone: 'Europe/Berlin' }), clock, 'en-US');
    assert.deepEqual(rows, [
      { name: '2026-10-24 02:30', detail: 'Saturday, UTC+02:00' },
      { name: '2026-10-25 02:30', detail: 'Sunday, UTC+02:00' },
      { name: '2026-10-26 02:30', detail: 'Monday, UTC+01:00' },
      { name: '2026-10-27 02:30', detail: 'Tuesday, UTC+01:00' },
      { name: '2026-10-28 02:30', detail: 'Wednesday, UTC+01:00' },
    ]);
    assert.deepEqual([text, values?.zone, values?.cron], ['next.fires', 'Europe/Berlin', '30 2 * * *']);
  });

  it('speak the language of the person, and name the zone of the host and the jitter', () => {
    const answer = nextFires(settingsOf({ ...daily, jitter: 60 }), clock, 'de');
    assert.match(answer.rows?.[0]?.detail ?? '', /^(Samstag|Freitag|Sonntag), /);
    assert.equal(answer.text, 'next.withJitter');
    assert.deepEqual(answer.placeholders, { zone: hostTimeZone() });
  });
});

describe('times for people', () => {
  it('are to the minute, with the date when it is not today', () => {
    const zone = new TimeZone('Asia/Kolkata');
    const at = Date.parse('2026-10-23T21:00:00Z');
    assert.equal(dateAndTime(at, zone), '2026-10-24 02:30');
    assert.equal(shortTime(at, zone, at - 3_600_000), '02:30');
    assert.equal(shortTime(at, zone, at - 25 * 3_600_000), '2026-10-24 02:30');
    assert.equal(offsetText(at, zone), 'UTC+05:30');
    assert.equal(offsetText(at, new TimeZone('America/St_Johns')), 'UTC-02:30');
  });
});

describe('a message to a schedule', () => {
  it('says what to do in its command, else in its payload', () => {
    assert.equal(commandOf({ payload: 'pause' }), 'pause');
    assert.equal(commandOf({ command: 'resume', payload: 'pause' }), 'resume');
    assert.equal(commandOf({ command: 'fire', payload: 1_700_000_000 }), 'fire');
  });

  for (const message of [
    {},
    { payload: 'stop' },
    { payload: 1_700_000_000 },
    { payload: { command: 'fire' } },
  ]) {
    it(`is refused when it says nothing that a schedule does: ${JSON.stringify(message)}`, () => {
      assert.throws(() => commandOf(message), {
        code: 'invalid-config',
        message: /^A schedule takes no message with .* send pause, resume or fire/,
      });
    });
  }
});
