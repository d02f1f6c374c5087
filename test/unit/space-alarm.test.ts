import assert from 'node:assert/strict';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { BackupError } from '../../lib/errors.ts';
import type { ToldEvent } from '../../lib/events/run-event.ts';
import { SpaceAlarm } from '../../lib/health/space-alarm.ts';
import { SpaceWatch } from '../../lib/health/space-watch.ts';
import { FakeClock } from '../support/fake-clock.ts';

const GB = 1e9;

describe('the alarm for the space of storages', () => {
  let clock: FakeClock;
  let told: ToldEvent[];
  let free: Record<string, number | undefined | Error>;
  let used: string[];
  let alarm: SpaceAlarm;

  const binding = (where: string, node: string) => {
    const driver = {
      kind: 'local',
      describe: () => where,
      freeSpace: async () => {
        const answer = free[where];
        if (answer instanceof Error) throw answer;
        return answer;
      },
    } as unknown as DestinationDriver;
    return { name: `Node ${node}`, binding: { node, label: node, driver, prefix: '' } };
  };

  beforeEach(() => {
    clock = new FakeClock('2026-05-01T12:00:00Z');
    told = [];
    free = { 'file:///one': 5 * GB };
    used = ['file:///one'];
    alarm = new SpaceAlarm({
      space: new SpaceWatch(clock),
      clock,
      leastBytes: GB,
      destinations: () => used.map((where, index) => binding(where, `d${index}`)),
      tell: (event) => told.push(event),
    });
  });

  /** Lets the alarm look again. */
  const look = () => clock.pass(5 * 60_000);
  const crossed = () => told.map((event) => (event.event === 'storage-threshold' ? event.crossed : ''));

  it('tells once when there is too little, and once when there is enough again', async () => {
    alarm.begin();
    await look();
    assert.deepEqual(told, []);
    free['file:///one'] = 0.5 * GB;
    await look();
    await look();
    assert.deepEqual(told, [
      {
        event: 'storage-threshold',
        storage: 'file:///one',
        crossed: 'below',
        freeBytes: 0.5 * GB,
        thresholdBytes: GB,
        destinations: [{ node: 'd0', label: 'Node d0' }],
        summary: 'file:///one has only 500 MB free, it must have 1.0 GB',
      },
    ]);
    free['file:///one'] = 1.01 * GB;
    await look();
    assert.deepEqual(crossed(), ['below'], 'that is hardly enough');
    free['file:///one'] = 2 * GB;
    await look();
    free['file:///one'] = 0;
    await look();
    assert.deepEqual(crossed(), ['below', 'above', 'below']);
  });

  it('tells once of a storage that several destinations share', async () => {
    used = ['file:///one', 'file:///one', 'file:///two'];
    free = { 'file:///one': 0, 'file:///two': 5 * GB };
    alarm.begin();
    await clock.pass(0);
    const [event] = told;
    assert.ok(event?.event === 'storage-threshold' && told.length === 1);
    assert.deepEqual(
      event.destinations.map(({ node }) => node),
      ['d0', 'd1'],
    );
  });

  it('leaves a storage as it was that does not say', async () => {
    free['file:///one'] = 0;
    alarm.begin();
    await look();
    for (const answer of [undefined, new BackupError('unavailable', 'away')]) {
      free['file:///one'] = answer;
      await look();
    }
    free['file:///one'] = 0;
    await look();
    assert.deepEqual(crossed(), ['below']);
  });

  it('forgets storages that are not used any more', async () => {
    free['file:///one'] = 0;
    alarm.begin();
    await look();
    used = [];
    await look();
    used = ['file:///one'];
    await look();
    assert.deepEqual(crossed(), ['below', 'below']);
  });

  it('looks no more after its end, and never where no space is asked for', async () => {
    alarm.begin();
    alarm.begin();
    await clock.pass(0);
    assert.equal(clock.waiting, 1, 'one timer, however often it begins');
    alarm.stop();
    await clock.pass(0);
    assert.equal(clock.waiting, 0);
    const parts = {
      space: new SpaceWatch(clock),
      clock,
      leastBytes: 0,
      destinations: () => [],
      tell: () => 0,
    };
    new SpaceAlarm(parts).begin();
    assert.equal(clock.waiting, 0);
  });
});
