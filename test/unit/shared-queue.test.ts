import assert from 'node:assert/strict';
import { BackupError } from '../../lib/errors.ts';
import { storePlace } from '../../lib/store/place.ts';
import { SharedQueue } from '../../nodes/shared-queue.ts';
import { FakeRed } from '../support/fake-red.ts';

describe('the queue of schedules that Node-REDs share', () => {
  it('rejects who asks for it when all ends, and throws at nobody who listens to an event', async () => {
    const place = storePlace('/nowhere', { DBACKUP_STORE: 'postgresql://postgres@127.0.0.1:1/postgres' });
    assert.equal(place.kind, 'postgresql');
    const closing = AbortSignal.abort(new BackupError('aborted', 'Node-RED ends'));
    const queue = new SharedQueue(place, 60_000, closing, new FakeRed().api.log);
    const asked = queue.fires();
    await assert.rejects(asked, { code: 'aborted' });
    await queue.close();
  });
});
