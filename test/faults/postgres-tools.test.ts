import assert from 'node:assert/strict';
import { BackupError } from '../../lib/errors.ts';
import { createPostgresSource } from '../../lib/sources/postgres/postgres-source.ts';
import { createShop } from '../fixtures/postgres-shop.ts';
import { collect } from '../support/byte-streams.ts';
import { childrenOf, groupOf } from '../support/child-processes.ts';
import { PostgresFaults } from '../support/postgres-faults.ts';
import { until } from '../support/until.ts';

const running = new AbortController().signal;

/** Whatever the tool does, a dump that is not whole is none. */
describe('a pg_dump that goes wrong', function () {
  this.timeout(240_000);
  let faults: PostgresFaults;
  let size: number;

  before(async () => {
    faults = await PostgresFaults.start();
    await createShop(faults.server, 'bad', { megabytes: 4, seed: 1 });
    await createShop(faults.server, 'good', { megabytes: 0.1, seed: 2 });
    size = (await dumpOf('bad')).length;
    assert.ok(size > 3_000_000, `the dump has ${size} bytes`);
  });

  after(async () => await faults?.stop());

  async function dumpOf(name: string): Promise<Buffer> {
    const source = createPostgresSource(faults.server.settings, {});
    const dump = await source.dump({ id: `database:${name}`, name }, running);
    return await collect(dump.stream);
  }

  /** Dumps both databases with a script that does this for `bad` only. */
  async function runWith(script: string, source = {}) {
    const onlyBad = `if [[ "$*" != *"='bad'"* ]]; then $real "$@"; exit; fi\n${script}`;
    const toolsFolder = await faults.toolsFolder(onlyBad);
    return await faults.run({
      server: { toolsFolder },
      source: { databases: ['bad', 'good'], ...source },
    });
  }

  async function leavesTheOther(script: string, expected: RegExp, source = {}): Promise<void> {
    const { result, stored, errorOf } = await runWith(script, source);
    const error = errorOf('bad');
    assert.match(`${error.code}: ${error.message}`, expected);
    assert.equal(result.state, 'partial');
    assert.equal(stored.length, 1, stored.join());
    assert.match(stored[0] ?? '', /^good\./);
  }

  it('(the script itself does no harm)', async () => {
    const { result, stored } = await runWith('$real "$@"');
    assert.equal(result.state, 'succeeded', String(result.error));
    assert.deepEqual(stored, ['bad.dump', 'good.dump']);
  });

  it('because it is killed at any point', async () => {
    const points = Array.from({ length: 6 }, () => Math.floor(Math.random() * size));
    for (const point of [0, 1, ...points, size - 1, size]) {
      await leavesTheOther(
        `$real "$@" 2>/dev/null | head -c ${point}; kill -KILL $$`,
        /^incomplete: pg_dump of bad was killed \(SIGKILL\)/,
      );
    }
  });

  it('because the real one is killed', async () => {
    // More than what may be on its way to the slow destination: the tool cannot be done before it is killed.
    await createShop(faults.server, 'large', { megabytes: 24, seed: 3 });
    const { result, stored, errorOf } = await faults.run({
      source: { databases: ['large'] },
      bytesPerSecond: 1_000_000,
      meanwhile: async () => {
        await faults.dumping('large');
        process.kill(await faults.dumpProcess(), 'SIGKILL');
      },
    });
    assert.equal(result.state, 'failed');
    assert.match(errorOf('large').message, /was killed \(SIGKILL\)/);
    assert.equal(errorOf('large').transient, true);
    assert.deepEqual(stored, []);
  });

  it('because it fails after megabytes, or after all of them', async () => {
    await leavesTheOther(
      '$real "$@" 2>/dev/null | head -c 3000000; echo "pg_dump: error: out of luck" >&2; exit 1',
      /^incomplete: pg_dump of bad failed with exit code 1: pg_dump: error: out of luck$/,
    );
    await leavesTheOther('$real "$@"; exit 3', /^incomplete: pg_dump of bad failed with exit code 3/);
  });

  for (const format of ['custom', 'plain', 'tar'] as const) {
    it(`because it calls a truncated dump a success, in the ${format} format`, async () => {
      for (const bytes of [0, 1000, 3_000_000]) {
        await leavesTheOther(
          `$real "$@" 2>/dev/null | head -c ${bytes}; exit 0`,
          /^incomplete: .*(is cut off|ends early|is missing)/,
          { format },
        );
      }
      await leavesTheOther(`$real "$@" | head -c -${format === 'plain' ? 60 : 1}; exit 0`, /^incomplete: /, {
        format,
      });
    });
  }

  it('because it writes something else', async () => {
    await leavesTheOther('echo hello world, this is no archive', /^corrupt: .*does not begin with PGDMP/);
    await leavesTheOther('$real "$@"; echo and more', /^corrupt: |^incomplete: /);
    await leavesTheOther('exit 0', /^incomplete: .*table of contents is cut off/);
  });

  it('because it does not end: an abort takes it along, and what it has started', async () => {
    for (const script of ['sleep 600', '$real "$@"; exec 1>&-; sleep 600', "trap '' TERM; sleep 600"]) {
      const toolsFolder = await faults.toolsFolder(script);
      const source = createPostgresSource({ ...faults.server.settings, toolsFolder }, {});
      const abort = new AbortController();
      const dump = await source.dump({ id: 'database:good', name: 'good' }, abort.signal);
      const reading = collect(dump.stream);
      reading.catch(() => undefined);
      const group = await faults.dumpProcess();
      await until(() => childrenOf(group).length > 0, 120_000);
      abort.abort(new BackupError('stalled', 'Enough'));
      await assert.rejects(reading, { code: 'stalled' });
      await assert.rejects(dump.proof, { code: 'stalled' });
      await until(() => groupOf(group).length === 0);
    }
  });

  it('because it is older than the server', async () => {
    const toolsFolder = await faults.toolsFolder('$real "$@"', 'echo "pg_dump (PostgreSQL) 14.9"; exit');
    const settings = { ...faults.server.settings, toolsFolder };
    const source = createPostgresSource(settings, { databases: ['bad'], globals: false });
    const message = /^PostgreSQL server 15\.\d+ is newer than pg_dump 14\.9 .*: set a folder with the tools/;
    await assert.rejects(source.prepare?.(running) ?? Promise.resolve(), { code: 'unavailable', message });
    const { result, stored, errorOf } = await faults.run({
      server: { toolsFolder },
      source: { databases: ['bad'] },
    });
    assert.equal(result.state, 'failed');
    assert.match(errorOf('bad').message, message);
    assert.deepEqual(stored, []);
  });

  it('because it is not there any more', async () => {
    await leavesTheOther(
      'exec /nonexistent/pg_dump',
      /^incomplete: pg_dump of bad failed with exit code 12[67]/,
    );
  });

  it('in 200 deaths between the last byte and the exit, and not one is taken for a success', async () => {
    const recorded = await faults.file('recorded.dump', await dumpOf('good'));
    const deaths = ['kill -KILL $$', 'exec 1>&-; kill -KILL $$', 'exec 1>&- 2>&-; exit 1', 'kill -TERM $$'];
    const folders = await Promise.all(deaths.map((death) => faults.toolsFolder(`cat ${recorded}; ${death}`)));
    const sources = folders.map((toolsFolder) =>
      createPostgresSource({ ...faults.server.settings, toolsFolder }, {}),
    );
    let proven = 0;
    for (let turn = 0; turn < 200; turn += 4) {
      const dying = sources.map(async (source) => {
        const dump = await source.dump({ id: 'database:good', name: 'good' }, running);
        const [read, proof] = await Promise.allSettled([collect(dump.stream), dump.proof]);
        if (proof.status === 'fulfilled' || read.status === 'fulfilled') proven += 1;
      });
      await Promise.all(dying);
    }
    assert.equal(proven, 0);
    for (const toolsFolder of folders) {
      const { result, stored } = await faults.run({
        server: { toolsFolder },
        source: { databases: ['good'] },
      });
      assert.equal(result.state, 'failed');
      assert.deepEqual(stored, []);
    }
  });
});
