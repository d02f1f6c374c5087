import assert from 'node:assert/strict';
import { contentOfMessage } from '../../nodes/notifiers/message-content.ts';

const OPTIONS = { now: new Date('2026-11-23T10:00:00Z'), label: 'Phone', links: [] };

describe('the notification that a message asks for', () => {
  const summaryOf = (message: object) => contentOfMessage({ ...message }, undefined, OPTIONS).summary;

  it('says what the payload is', () => {
    assert.equal(summaryOf({ payload: 'the disk is full' }), 'the disk is full');
    assert.equal(summaryOf({ payload: { free: 3 } }), '{"free":3}');
    assert.equal(summaryOf({}), 'Phone');
  });

  it('is made of what JSON cannot say, too', () => {
    const ring: { free: number; self?: object } = { free: 3 };
    ring.self = ring;
    const source = { id: 'x', type: 'dbackup-s3' };
    assert.match(summaryOf({ payload: ring }), /free: 3/);
    assert.match(summaryOf({ payload: 12n }), /12/);
    assert.match(summaryOf({ error: { message: ring, source } }), /free: 3/);
  });
});
