import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { BackupEvents } from '../../lib/events/event-bus.ts';
import { DeployWindow } from '../../nodes/deploy-window.ts';
import { EventAudience } from '../../nodes/event-audience.ts';
import { FakeClock } from '../support/fake-clock.ts';

describe('the nodes that hear of events', () => {
  let flows: EventEmitter;
  let bus: BackupEvents;
  let audience: EventAudience;
  let heard: string[];

  beforeEach(() => {
    flows = new EventEmitter();
    bus = new BackupEvents(new FakeClock('2026-05-01T12:00:00Z'));
    audience = new EventAudience(bus, new DeployWindow(flows));
    heard = [];
  });

  const join = (name: string) =>
    audience.join((event) => heard.push(`${name} ${'runId' in event ? event.runId : ''}`));
  const tell = (runId: string) => bus.tell({ event: 'started', job: 'shop', runId, summary: '' });

  it('hear of them until they leave', () => {
    const leave = join('one');
    join('two');
    tell('a');
    leave();
    tell('b');
    assert.deepEqual(heard, ['one a', 'two a', 'two b']);
  });

  it('hear of what happened while a deploy put them in the place of others', async () => {
    const leave = join('old');
    flows.emit('flows:stopping');
    tell('a');
    leave();
    tell('b');
    join('new');
    assert.deepEqual(heard, []);
    flows.emit('flows:started');
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(heard, ['new a', 'new b']);
    tell('c');
    assert.equal(heard.at(-1), 'new c');
  });

  it('hear nothing after the end', () => {
    join('one');
    audience.dispose();
    tell('a');
    assert.deepEqual(heard, []);
  });
});
