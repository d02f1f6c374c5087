import assert from 'node:assert/strict';
import { BackupError } from '../../../lib/errors.ts';
import { bytesOf, type SourceHarness } from './fixture.ts';

/** Abort is real: whatever the driver has started is gone, and everybody who waits is told. */
export function cancellationTests(harness: SourceHarness): void {
  it('does nothing with a signal that is aborted already', async () => {
    const database = await harness.firstDatabase();
    await assert.rejects(harness.source.probe(AbortSignal.abort()), isAborted);
    await assert.rejects(harness.source.listDatabases(AbortSignal.abort()), isAborted);
    await assert.rejects(harness.source.dump(database, AbortSignal.abort()), isAborted);
    assert.deepEqual(harness.newChildren(), []);
  });

  it('stops a dump that is about to start', async () => {
    const database = await harness.firstDatabase();
    const abort = new AbortController();
    const starting = harness.source.dump(database, abort.signal);
    abort.abort();
    await assert.rejects(starting, isAborted);
    assert.deepEqual(harness.newChildren(), []);
  });

  it('stops a dump before its first byte', async () => {
    const abort = new AbortController();
    const dump = await harness.dumpFirst(abort.signal);
    abort.abort();
    await assert.rejects(bytesOf(dump), isAborted);
    await assert.rejects(dump.proof, isAborted);
    assert.deepEqual(harness.newChildren(), []);
  });

  it('stops a dump that nobody reads', async () => {
    const abort = new AbortController();
    const dump = await harness.dumpFirst(abort.signal);
    abort.abort();
    await assert.rejects(dump.proof, isAborted);
    assert.deepEqual(harness.newChildren(), []);
  });

  it('stops a dump in the middle, with the reason that it was given', async () => {
    const abort = new AbortController();
    const dump = await harness.dumpFirst(abort.signal);
    const reason = new BackupError('stalled', 'No progress for too long');
    const reading = (async () => {
      for await (const chunk of dump.stream) if (chunk.length > 0) abort.abort(reason);
    })();
    await assert.rejects(reading, (error) => error === reason);
    await assert.rejects(dump.proof, (error) => error === reason);
    assert.deepEqual(harness.newChildren(), []);
  });

  it('does not mind an abort after the proof', async () => {
    const abort = new AbortController();
    const dump = await harness.dumpFirst(abort.signal);
    await bytesOf(dump);
    await dump.proof;
    abort.abort();
    await dump.proof;
    assert.deepEqual(harness.newChildren(), []);
  });

  it('ends when the consumer stops early', async () => {
    const dump = await harness.dumpFirst();
    for await (const chunk of dump.stream) {
      assert.ok(chunk.length > 0);
      break;
    }
    await assert.rejects(dump.proof, isAborted);
    assert.deepEqual(harness.newChildren(), []);
  });

  it('ends when the consumer stops before it has begun', async () => {
    const dump = await harness.dumpFirst();
    const iterator = dump.stream[Symbol.asyncIterator]();
    await iterator.return?.();
    await assert.rejects(dump.proof, isAborted);
    assert.deepEqual(harness.newChildren(), []);
    assert.equal((await iterator.next()).done, true);
  });

  it('ends when the consumer fails', async () => {
    const dump = await harness.dumpFirst();
    const failing = (async () => {
      for await (const chunk of dump.stream) throw new Error(`cannot take ${chunk.length} bytes`);
    })();
    await assert.rejects(failing, /cannot take/);
    await assert.rejects(dump.proof);
    assert.deepEqual(harness.newChildren(), []);
  });
}

function isAborted(error: unknown): boolean {
  return error instanceof BackupError && error.code === 'aborted';
}
