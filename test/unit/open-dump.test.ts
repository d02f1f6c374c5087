import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { OpenDump } from '../../lib/engine/open-dump.ts';
import type { Dump, DumpProof, SourceDriver } from '../../lib/sources/driver.ts';
import { ScriptedSource } from '../support/scripted-source.ts';

const PROOF: DumpProof = { statement: 'all', facts: {}, warnings: [] };
const DATABASE = { id: 'one', name: 'one' };

describe('an open dump', () => {
  function driverOf(dump: (signal: AbortSignal) => Promise<Dump>): SourceDriver {
    const scripted = new ScriptedSource();
    return {
      kind: 'test',
      describe: () => 'test',
      probe: () => scripted.probe(),
      listDatabases: async () => [DATABASE],
      dump: (_, signal) => dump(signal),
    };
  }

  function dumpOf(proof: Promise<DumpProof>): Dump {
    return {
      stream: { [Symbol.asyncIterator]: () => never() },
      proof,
      format: 'f',
      extension: '',
      version: '1',
    };
  }

  it('ends a source that is not wanted any more, and waits for it', async () => {
    const run = new AbortController();
    let ended = false;
    const driver = driverOf(async (signal) => {
      const proof = Promise.withResolvers<DumpProof>();
      signal.addEventListener('abort', () => {
        setTimeout(() => {
          ended = true;
          proof.reject(signal.reason);
        }, 50);
      });
      return dumpOf(proof.promise);
    });
    const open = await OpenDump.open(driver, DATABASE, run.signal);
    assert.equal(getEventListeners(run.signal, 'abort').length, 1);
    await open.close();
    assert.ok(ended);
    assert.equal(getEventListeners(run.signal, 'abort').length, 0);
  });

  it('leaves a source alone that has given its proof', async () => {
    let signalled: AbortSignal | undefined;
    const driver = driverOf(async (signal) => {
      signalled = signal;
      return dumpOf(Promise.resolve(PROOF));
    });
    const open = await OpenDump.open(driver, DATABASE, new AbortController().signal);
    assert.deepEqual(await open.proven(), PROOF);
    await open.close();
    assert.equal(signalled?.aborted, false);
  });

  it('tells a source that starts after the run was aborted that it is too late', async () => {
    const run = new AbortController();
    let start: (dump: Dump) => void = () => undefined;
    let signalled: AbortSignal | undefined;
    const driver = driverOf((signal) => {
      signalled = signal;
      return new Promise((resolve) => {
        start = resolve;
      });
    });
    const opening = OpenDump.open(driver, DATABASE, run.signal);
    run.abort();
    assert.equal(signalled?.aborted, true);
    start(dumpOf(Promise.reject(new Error('too late'))));
    await assert.rejects(opening, { code: 'aborted' });
  });

  it('waits for the clean-up of a source that is told to end while it starts', async () => {
    const run = new AbortController();
    let cleaned = false;
    const driver = driverOf(
      (signal) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            setTimeout(() => {
              cleaned = true;
              reject(signal.reason);
            }, 50);
          });
        }),
    );
    const opening = OpenDump.open(driver, DATABASE, run.signal);
    run.abort();
    await assert.rejects(opening, { code: 'aborted' });
    assert.ok(cleaned);
    assert.equal(getEventListeners(run.signal, 'abort').length, 0);
  });

  it('takes a source that throws for one that fails', async () => {
    const run = new AbortController();
    const driver = driverOf(() => {
      throw new Error('no such database');
    });
    await assert.rejects(OpenDump.open(driver, DATABASE, run.signal), /no such database/);
    assert.equal(getEventListeners(run.signal, 'abort').length, 0);
  });

  it('asks the tool why a stream broke, and believes a stream that knows', async () => {
    const driver = driverOf(async () => dumpOf(Promise.reject(new Error('pg_dump: out of memory'))));
    const open = await OpenDump.open(driver, DATABASE, new AbortController().signal);
    assert.match(String(await open.failure(new Error('EPIPE'))), /out of memory/);
    await open.close();
  });
});

function never(): AsyncIterator<Buffer> {
  return { next: () => new Promise(() => undefined) };
}
