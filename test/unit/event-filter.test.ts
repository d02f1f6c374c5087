import assert from 'node:assert/strict';
import { type EventChoice, eventFilter } from '../../lib/events/event-filter.ts';
import { type BackupEvent, EVENT_NAMES, severityOf, type ToldEvent } from '../../lib/events/run-event.ts';

const AT = '2026-05-01T12:00:00.000Z';
const ALL: EventChoice = { events: EVENT_NAMES, jobs: [], severity: 'info', onChange: false };

function event(told: ToldEvent): BackupEvent {
  return { at: AT, severity: severityOf(told), ...told } as BackupEvent;
}

function ended(
  name: 'succeeded' | 'partial' | 'failed' | 'cancelled' | 'recovered',
  job = 'shop',
  before?: 'succeeded' | 'partial' | 'failed',
): BackupEvent {
  const previous = before === undefined ? {} : { previous: { runId: 'p', state: before, finishedAt: AT } };
  return event({
    event: name,
    job,
    runId: 'r',
    summary: '',
    openedAt: AT,
    finishedAt: AT,
    durationSeconds: 0,
    rawBytes: 0,
    databases: [],
    destinations: [],
    ...previous,
  });
}

const space = event({
  event: 'storage-threshold',
  storage: 'file:///b',
  crossed: 'below',
  freeBytes: 1,
  thresholdBytes: 2,
  destinations: [],
  summary: '',
});
const missed = (jobs: readonly string[]) =>
  event({ event: 'schedule-missed', schedule: 's', node: 'n', jobs, plannedFor: AT, count: 1, summary: '' });

describe('which events are wanted', () => {
  it('by their names', () => {
    const wanted = eventFilter({ ...ALL, events: ['failed'] });
    assert.deepEqual([ended('failed'), ended('partial'), space].map(wanted), [true, false, false]);
  });

  it('by how bad they are', () => {
    const events = [ended('succeeded'), ended('partial'), ended('failed')];
    assert.deepEqual(events.map(eventFilter({ ...ALL, severity: 'warning' })), [false, true, true]);
    assert.deepEqual(events.map(eventFilter({ ...ALL, severity: 'error' })), [false, false, true]);
  });

  it('by their jobs, with patterns', () => {
    const wanted = eventFilter({ ...ALL, jobs: ['shop', 'crm-*', 'a.b', 'x?z', 'odd[1]'] });
    const jobs = ['shop', 'shop2', 'crm-', 'crm-eu', 'a.b', 'axb', 'xyz', 'xyyz', 'odd[1]', 'odd1', 'Shop'];
    assert.deepEqual(
      jobs.filter((job) => wanted(ended('failed', job))),
      ['shop', 'crm-', 'crm-eu', 'a.b', 'xyz', 'odd[1]'],
    );
  });

  it('whatever the jobs are, when they are about none', () => {
    const wanted = eventFilter({ ...ALL, jobs: ['shop'] });
    assert.ok(wanted(space));
    assert.ok(wanted(missed([])), 'nobody knows what the schedule begins');
    assert.ok(wanted(missed(['crm', 'shop'])));
    assert.ok(!wanted(missed(['crm'])));
  });

  it('only when a job does other than before, where that is asked for', () => {
    const wanted = eventFilter({ ...ALL, onChange: true });
    const told = [
      ended('succeeded'),
      ended('failed'),
      ended('failed', 'shop', 'failed'),
      ended('partial', 'shop', 'failed'),
      ended('partial', 'shop', 'partial'),
      ended('succeeded', 'shop', 'partial'),
      ended('recovered', 'shop', 'partial'),
      ended('succeeded', 'shop', 'succeeded'),
      ended('cancelled', 'shop', 'succeeded'),
      space,
    ];
    assert.deepEqual(told.map(wanted), [false, true, false, true, false, true, true, false, true, true]);
  });
});
