import assert from 'node:assert/strict';
import { bytesOf, running, type SourceHarness } from './fixture.ts';

/** What a driver finds, and what a dump and its proof promise. */
export function dumpTests(harness: SourceHarness): void {
  it('describes itself without secrets', () => {
    const description = harness.source.describe();
    assert.notEqual(description, '');
    for (const secret of harness.world.secrets) assert.ok(!description.includes(secret));
  });

  it('probes with a version and a summary', async () => {
    const probe = await harness.source.probe(running());
    assert.match(probe.version, /^\d+(\.\d+)*/);
    assert.notEqual(probe.summary, '');
    assert.deepEqual(probe.warnings, []);
  });

  it('lists databases with unique ids and names', async () => {
    const databases = await harness.source.listDatabases(running());
    assert.ok(databases.length >= 2, 'the fixture needs two databases');
    assert.equal(new Set(databases.map(({ id }) => id)).size, databases.length);
    assert.equal(new Set(databases.map(({ name }) => name)).size, databases.length);
  });

  it('says what a dump is before its bytes are read', async () => {
    const dump = await harness.dumpFirst();
    assert.match(dump.format, /^[a-z0-9-]+$/);
    assert.match(dump.extension, /^\.[a-z0-9.]+$/);
    assert.match(dump.version, /^\d+(\.\d+)*/);
    const bytes = await bytesOf(dump);
    if (dump.expectedBytes !== undefined) assert.equal(bytes.length, dump.expectedBytes);
    await dump.proof;
  });

  it('gives the proof only after the last byte was taken', async () => {
    const dump = await harness.dumpFirst();
    let proven = false;
    const settled = dump.proof.then(() => {
      proven = true;
    });
    for await (const chunk of dump.stream) {
      assert.ok(chunk.length > 0);
      assert.equal(proven, false, 'the proof came while bytes were still to come');
      await new Promise((resolve) => setImmediate(resolve));
    }
    await settled;
    const proof = await dump.proof;
    assert.notEqual(proof.statement, '');
    assert.ok(Object.keys(proof.facts).length > 0, 'the proof names no facts');
  });

  it('does not write into chunks that it has given out', async () => {
    const dump = await harness.dumpFirst();
    const kept: { chunk: Buffer; copy: Buffer }[] = [];
    for await (const chunk of dump.stream) {
      if (kept.length < 16) kept.push({ chunk, copy: Buffer.from(chunk) });
    }
    await dump.proof;
    for (const { chunk, copy } of kept) assert.ok(chunk.equals(copy));
  });

  it('dumps the same bytes to a slow consumer', async () => {
    const fast = await bytesOf(await harness.dumpFirst());
    const dump = await harness.dumpFirst();
    let position = 0;
    for await (const chunk of dump.stream) {
      if (position < 8 * 1024 * 1024) await new Promise((resolve) => setTimeout(resolve, 20));
      position += chunk.length;
    }
    assert.equal(position, fast.length);
    await dump.proof;
  });

  it('dumps several databases at once', async () => {
    const databases = await harness.source.listDatabases(running());
    const dumps = await Promise.all(
      databases.slice(0, 2).map((database) => harness.source.dump(database, running())),
    );
    const sizes = await Promise.all(dumps.map(async (dump) => (await bytesOf(dump)).length));
    await Promise.all(dumps.map(({ proof }) => proof));
    assert.ok(sizes.every((size) => size > 0));
  });

  it('dumps the same database twice at once', async () => {
    const dumps = await Promise.all([harness.dumpFirst(), harness.dumpFirst()]);
    await Promise.all(dumps.map(bytesOf));
    await Promise.all(dumps.map(({ proof }) => proof));
  });

  it('fails for an unknown database, and only for that one', async () => {
    await assert.rejects(harness.source.dump(harness.world.missing, running()), { name: 'BackupError' });
    const dump = await harness.dumpFirst();
    await bytesOf(dump);
    await dump.proof;
  });
}
