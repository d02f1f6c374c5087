import assert from 'node:assert/strict';
import type { ByteStream } from '../../../lib/bytes/stream.ts';
import { BackupError } from '../../../lib/errors.ts';
import { running, type SourceHarness } from './fixture.ts';

/** What a dump is for. */
export function restoreTests(harness: SourceHarness): void {
  it('restores an equal database', async () => {
    for (const database of await harness.source.listDatabases(running())) {
      const dump = await harness.source.dump(database, running());
      const target = harness.world.emptyTarget();
      assert.equal(target.kind, harness.source.kind);
      await target.check(dump.expectedBytes, running());
      const report = await target.restore(dump.stream, running());
      await dump.proof;
      assert.notEqual(report.target, '');
      assert.notEqual(report.proof.statement, '');
      await harness.world.compare(database, target);
    }
  });

  it('restores one moment of a database that is being written', async () => {
    const database = await harness.firstDatabase();
    const stop = await harness.world.keepWriting(database);
    try {
      for (let round = 0; round < 3; round++) {
        const dump = await harness.source.dump(database, running());
        const target = harness.world.emptyTarget();
        await target.restore(dump.stream, running());
        await dump.proof;
        await harness.world.requireConsistent(target);
      }
    } finally {
      await stop();
    }
  });

  it('leaves the target untouched when the bytes turn out wrong at their end', async () => {
    const { target, requireUntouched } = await harness.world.usedTarget();
    const dump = await harness.dumpFirst();
    const failure = new BackupError('corrupt', 'The hash of the last byte is wrong');
    await assert.rejects(
      target.restore(failingAtEnd(dump.stream, failure), running()),
      (error) => error === failure,
    );
    await dump.proof;
    await requireUntouched();
  });

  it('leaves the target untouched when the bytes end early', async () => {
    const { target, requireUntouched } = await harness.world.usedTarget();
    const dump = await harness.dumpFirst();
    await assert.rejects(target.restore(firstHalf(dump.stream), running()), { name: 'BackupError' });
    await assert.rejects(dump.proof);
    await requireUntouched();
  });

  it('leaves the target untouched when it is aborted', async () => {
    const { target, requireUntouched } = await harness.world.usedTarget();
    const dump = await harness.dumpFirst();
    const abort = new AbortController();
    const restoring = target.restore(abortingHalfWay(dump.stream, abort), abort.signal);
    await assert.rejects(restoring, { code: 'aborted' });
    await assert.rejects(dump.proof);
    await requireUntouched();
  });

  it('does not start when it is aborted already', async () => {
    const { target, requireUntouched } = await harness.world.usedTarget();
    await assert.rejects(target.check(1, AbortSignal.abort()), { code: 'aborted' });
    await assert.rejects(target.restore(emptyStream(), AbortSignal.abort()), { code: 'aborted' });
    await requireUntouched();
  });
}

async function* failingAtEnd(bytes: ByteStream, failure: Error): AsyncGenerator<Buffer> {
  yield* bytes;
  throw failure;
}

async function* firstHalf(bytes: ByteStream): AsyncGenerator<Buffer> {
  let taken = 0;
  for await (const chunk of bytes) {
    if (taken++ > 0) return;
    yield chunk.subarray(0, Math.ceil(chunk.length / 2));
  }
}

async function* abortingHalfWay(bytes: ByteStream, abort: AbortController): AsyncGenerator<Buffer> {
  for await (const chunk of bytes) {
    yield chunk;
    abort.abort();
  }
}

async function* emptyStream(): AsyncGenerator<Buffer> {}
