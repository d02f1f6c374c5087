import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { type DumpReader, FORMATS, scriptReader } from '../../lib/sources/postgres/dump-reader.ts';
import { createShop } from '../fixtures/postgres-shop.ts';
import { orSkip } from '../servers/foreign-suite.ts';
import { startPostgres, type TestPostgres } from '../servers/postgres.ts';

const run = promisify(execFile);

type Format = keyof typeof FORMATS;

/** What a reader says of a dump that comes in these pieces. */
function shown(reader: DumpReader, dump: Buffer, sizes: readonly number[]) {
  let at = 0;
  for (let turn = 0; at < dump.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? dump.length;
    reader.take(dump.subarray(at, at + size));
    at += size;
  }
  return reader.end();
}

/** Dumps of every version and format, read as they pass. */
for (const major of [15, 17, 18] as const) {
  describe(`dumps that pg_dump ${major} writes`, () => {
    const dumps = new Map<Format | 'globals', Buffer>();

    before(async function () {
      this.timeout(15 * 60_000);
      const server = await orSkip(this, () => startPostgres({ major }));
      try {
        await createShop(server, 'shop', { megabytes: 0.02, seed: 1 });
        await server.query(
          `CREATE TABLE tricky (v text);
           INSERT INTO tricky VALUES (E'\\\\.\\n\\n\\n'), ('1234'), (''), (NULL), (E'--\\n-- PostgreSQL database dump complete\\n--');
           CREATE TABLE five (v text); INSERT INTO five SELECT '1234' FROM generate_series(1, 300);
           CREATE TABLE wide (v text); INSERT INTO wide SELECT string_agg(md5(i::text), '') FROM generate_series(1, 4000) i`,
          'shop',
        );
        for (const format of ['custom', 'plain', 'tar'] as const) {
          dumps.set(format, await dumpOf(server, 'pg_dump', [...FORMATS[format].args, 'shop']));
        }
        dumps.set('globals', await dumpOf(server, 'pg_dumpall', ['--globals-only']));
      } finally {
        await server.stop();
      }
    });

    const readerOf = (format: Format | 'globals') =>
      format === 'globals' ? scriptReader('database cluster') : FORMATS[format].reader(true);
    const dumpIn = (format: Format | 'globals') => dumps.get(format) ?? assert.fail(`no ${format} dump`);

    for (const format of ['custom', 'plain', 'tar', 'globals'] as const) {
      it(`are whole in the ${format} format, in pieces of any size`, () => {
        const dump = dumpIn(format);
        const whole = shown(readerOf(format), dump, [dump.length]);
        for (const size of [1, 2, 3, 5, 7, 64, 511, 512, 513]) {
          assert.deepEqual(shown(readerOf(format), dump, [size]), whole, `in pieces of ${size}`);
        }
        const sizes = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 20 });
        fc.assert(
          fc.property(sizes, (pieces) => assert.deepEqual(shown(readerOf(format), dump, pieces), whole)),
          { numRuns: 30 },
        );
      });

      it(`are not whole in the ${format} format when they end early`, () => {
        const dump = dumpIn(format);
        // Line feeds at the end of a script say nothing.
        const least = dump.toString('latin1').trimEnd().length;
        const end = format === 'custom' || format === 'tar' ? dump.length : least;
        const near = Array.from({ length: Math.min(3000, end) }, (_, distance) => end - 1 - distance);
        const anywhere = Array.from({ length: 300 }, (_, part) => Math.floor((part * end) / 300));
        for (const length of [...near, ...anywhere]) {
          const reader = readerOf(format);
          assert.throws(
            () => shown(reader, dump.subarray(0, length), [64 * 1024]),
            { name: 'BackupError', code: /incomplete|corrupt/ },
            `${length} of ${dump.length} bytes`,
          );
        }
      });
    }

    it('are counted row by row', () => {
      for (const format of ['custom', 'plain', 'tar'] as const) {
        const { facts, tables } = shown(readerOf(format), dumpIn(format), [4096]);
        const counts = new Map(tables?.map(({ name, rows }) => [name, rows]));
        const rows = ['tricky', 'five', 'wide', 'empty', 'accounts'].map((table) =>
          counts.get(`public.${table}`),
        );
        assert.deepEqual(rows, [5, 300, 1, 0, 100], format);
        if (format !== 'plain') assert.equal(facts.largeObjects, 3);
      }
    });

    it('are not counted where the data of a table does not end as it does when each row is a piece', () => {
      const dump = Buffer.from(
        dumpIn('custom').toString('latin1').replaceAll('\\.\n\n\n', 'abcd\n'),
        'latin1',
      );
      assert.deepEqual(shown(readerOf('custom'), dump, [4096]).tables, []);
    });

    it('are refused when a byte of their structure is wrong', () => {
      const dump = dumpIn('custom');
      assert.throws(() => shown(readerOf('custom'), Buffer.concat([dump, Buffer.from('x')]), [dump.length]), {
        code: 'incomplete',
      });
      assert.throws(() => shown(readerOf('custom'), Buffer.concat([dump, dump]), [4096]), {
        code: 'corrupt',
      });
      assert.throws(() => shown(readerOf('custom'), dumpIn('plain'), [4096]), { code: 'corrupt' });
      assert.throws(() => shown(readerOf('custom'), dumpIn('tar'), [4096]), { code: 'corrupt' });
      assert.throws(() => shown(readerOf('tar'), dump, [4096]), { code: 'corrupt' });
      assert.throws(() => shown(readerOf('tar'), Buffer.concat([dumpIn('tar'), dumpIn('tar')]), [4096]), {
        code: 'corrupt',
      });
      assert.throws(() => shown(readerOf('plain'), dumpIn('globals'), [4096]), { code: 'incomplete' });
    });

    it('are refused when the block of a table is missing', () => {
      const dump = Buffer.from(dumpIn('custom'));
      const first = firstBlock(dump);
      const empty = Buffer.concat([dump.subarray(0, first), dump.subarray(endOfBlock(dump, first))]);
      assert.throws(() => shown(readerOf('custom'), empty, [4096]), {
        code: 'incomplete',
        message: /is missing/,
      });
    });
  });
}

/** Where the data begins: at the first block, found by reading ever more until the head is whole. */
function firstBlock(dump: Buffer): number {
  let [low, high] = [0, dump.length];
  while (low + 1 < high) {
    const middle = Math.floor((low + high) / 2);
    const reader = FORMATS.custom.reader(false);
    reader.take(dump.subarray(0, middle));
    try {
      reader.end();
      return assert.fail('a part was whole');
    } catch (error) {
      if (error instanceof Error && error.message.includes('table of contents')) low = middle;
      else high = middle;
    }
  }
  return high;
}

/** The end of a block of a table: after the piece that has no length. */
function endOfBlock(dump: Buffer, block: number): number {
  let at = block + 6;
  for (;;) {
    const size = dump.readUInt32LE(at + 1);
    at += 5 + size;
    if (size === 0) return at;
  }
}

async function dumpOf(server: TestPostgres, tool: string, args: readonly string[]): Promise<Buffer> {
  const { toolsFolder, socketFolder, settings, password } = server;
  const connection = ['-h', socketFolder, '-p', String(settings.port), '-U', 'postgres'];
  const { stdout } = await run(`${toolsFolder}/${tool}`, [...connection, ...args], {
    env: { ...process.env, PGPASSWORD: password },
    encoding: 'buffer',
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout;
}
