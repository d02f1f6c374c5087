import assert from 'node:assert/strict';
import { abortError, BackupError } from '../../lib/errors.ts';
import { SharedOpening } from '../../lib/shared-opening.ts';

const never = new AbortController().signal;

/** Openings that end when the test says so, or when they are stopped. */
class Doors {
  readonly openings: { readonly signal: AbortSignal; open(): void; fail(): void }[] = [];
  readonly shared = new SharedOpening((signal) => {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const number = this.openings.length;
    this.openings.push({
      signal,
      open: () => resolve(number),
      fail: () => reject(new BackupError('unavailable', 'it is locked')),
    });
    // As a socket does it: not at once.
    signal.addEventListener('abort', () => setImmediate(() => reject(abortError(signal))));
    return promise;
  });
}

describe('something that is opened once for all who wait', () => {
  it('is opened once, and anew by those who come later', async () => {
    const { shared, openings } = new Doors();
    const both = Promise.all([shared.wait(never), shared.wait(never)]);
    openings[0]?.open();
    assert.deepEqual(await both, [0, 0]);
    const later = shared.wait(never);
    openings[1]?.open();
    assert.equal(await later, 1);
  });

  it('fails for all of them, and not for those who come later', async () => {
    const { shared, openings } = new Doors();
    const both = [shared.wait(never), shared.wait(never)];
    openings[0]?.fail();
    for (const each of both) await assert.rejects(each, { code: 'unavailable' });
    const later = shared.wait(never);
    openings[1]?.open();
    assert.equal(await later, 1);
  });

  it('goes on for the others when one gives up', async () => {
    const { shared, openings } = new Doors();
    const gone = new AbortController();
    const impatient = shared.wait(gone.signal);
    const patient = shared.wait(never);
    gone.abort();
    await assert.rejects(impatient, { code: 'aborted' });
    assert.equal(openings[0]?.signal.aborted, false);
    openings[0]?.open();
    assert.equal(await patient, 0);
  });

  it('is stopped when nobody waits any more, which who comes then does not feel', async () => {
    const { shared, openings } = new Doors();
    const gone = new AbortController();
    const impatient = shared.wait(gone.signal);
    gone.abort();
    await assert.rejects(impatient, { code: 'aborted' });
    assert.equal(openings[0]?.signal.aborted, true);
    const newcomer = shared.wait(never);
    assert.equal(openings.length, 2, 'it begins anew');
    // The first one ends only now.
    await new Promise((resolve) => setImmediate(resolve));
    openings[1]?.open();
    assert.equal(await newcomer, 1);
  });
});
