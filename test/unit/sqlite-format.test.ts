import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { readHeader } from '../../lib/sources/sqlite/header.ts';
import type { Snapshot } from '../../lib/sources/sqlite/snapshot.ts';
import { snapshotSource } from '../../lib/sources/sqlite/snapshot-reader.ts';
import { hasSalts, readIndexHeader, readWalPages } from '../../lib/sources/sqlite/wal.ts';
import { createDatabase } from '../fixtures/sqlite-database.ts';
import { OtherProcess } from '../support/sqlite-connection.ts';

describe('the formats of SQLite', () => {
  let folder: string;
  let path: string;
  const descriptors: number[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dbackup-sqlite-format-'));
    path = join(folder, 'shop.db');
    createDatabase(path, { megabytes: 1 });
    const other = await OtherProcess.open(
      path,
      'UPDATE customers SET name = name || 1',
      'DELETE FROM orders',
    );
    await other.kill();
  });
  after(async () => await rm(folder, { recursive: true, force: true }));
  afterEach(() => {
    for (const descriptor of descriptors.splice(0)) closeSync(descriptor);
  });

  function openFile(file: string): number {
    const descriptor = openSync(file, 'r');
    descriptors.push(descriptor);
    return descriptor;
  }

  /** A file with these bytes, open. */
  function fileOf(bytes: Uint8Array): number {
    writeFileSync(join(folder, 'changed'), bytes);
    return openFile(join(folder, 'changed'));
  }

  describe('the header of a database', () => {
    it('tells the size of pages and database', () => {
      const bytes = readFileSync(path);
      assert.deepEqual(readHeader(bytes), { pageSize: 4096, pages: bytes.length / 4096, journal: 'wal' });
    });

    it('is not there in other bytes', () => {
      assert.equal(readHeader(Buffer.alloc(0)), undefined);
      assert.equal(readHeader(readFileSync(path).subarray(0, 99)), undefined);
      fc.assert(
        fc.property(
          fc.uint8Array({ minLength: 100, maxLength: 120 }),
          (bytes) => readHeader(bytes) === undefined,
        ),
      );
    });

    it('does not trust a size that an old SQLite left behind', () => {
      const header = readFileSync(path).subarray(0, 100);
      header.writeUInt32BE(header.readUInt32BE(24) + 1, 24);
      assert.equal(readHeader(header)?.pages, undefined);
    });

    it('knows the largest page and refuses impossible ones', () => {
      const header = readFileSync(path).subarray(0, 100);
      header.writeUInt16BE(1, 16);
      assert.equal(readHeader(header)?.pageSize, 65_536);
      for (const size of [0, 256, 1000]) {
        header.writeUInt16BE(size, 16);
        assert.equal(readHeader(header), undefined);
      }
    });
  });

  describe('the write-ahead log', () => {
    it('is read up to what its index says', () => {
      const index = readIndexHeader(openFile(`${path}-shm`));
      assert.ok(index !== undefined && index.lastFrame > 10);
      assert.equal(index.pageSize, 4096);
      const found = readWalPages(openFile(`${path}-wal`), index);
      assert.ok(found !== undefined && found.pages.length > 10);
      const sorted = [...found.pages].sort((one, other) => one - other);
      assert.deepEqual([...found.pages], [...new Set(sorted)]);
      assert.ok(hasSalts(openFile(`${path}-wal`), index.salts));
    });

    it('is not trusted with any bit changed', () => {
      const index = readIndexHeader(openFile(`${path}-shm`));
      assert.ok(index !== undefined);
      const wal = readFileSync(`${path}-wal`).subarray(0, 32 + index.lastFrame * 4120);
      fc.assert(
        fc.property(fc.nat(wal.length * 8 - 1), (bit) => {
          const changed = Buffer.from(wal);
          changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
          return readWalPages(fileOf(changed), index) === undefined;
        }),
        { numRuns: 60 },
      );
    });

    it('is not trusted when it is cut off or has begun anew', () => {
      const index = readIndexHeader(openFile(`${path}-shm`));
      assert.ok(index !== undefined);
      const wal = readFileSync(`${path}-wal`);
      for (const length of [0, 31, 32, 5000, 32 + index.lastFrame * 4120 - 1]) {
        assert.equal(readWalPages(fileOf(wal.subarray(0, length)), index), undefined);
      }
      wal.writeUInt32BE(1, 16);
      assert.equal(hasSalts(fileOf(wal), index.salts), false);
    });

    it('has an index that is not read while it is written', () => {
      const shm = readFileSync(`${path}-shm`);
      assert.equal(readIndexHeader(fileOf(shm.subarray(0, 90))), undefined);
      for (const offset of [0, 12, 16, 20, 30, 44, 50, 95]) {
        const changed = Buffer.from(shm);
        changed[offset] = (changed[offset] ?? 0) ^ 1;
        assert.equal(readIndexHeader(fileOf(changed)), undefined, `byte ${offset}`);
      }
    });
  });

  describe('the bytes of a snapshot', () => {
    const LOCK_PAGE = 0x40000000 / 65_536 + 1;

    /** A database of 1 GiB and two pages in a sparse file that ends at the lock page; the rest is in the log. */
    function largeSnapshot(): Snapshot {
      const main = openSync(join(folder, 'sparse'), 'w+');
      descriptors.push(main);
      ftruncateSync(main, 0x40000000);
      writeSync(main, 'file', 0x40000000 - 4);
      const log = Buffer.alloc(32 + 65_536, 'log ');
      log.fill(0x77, 0, 32);
      const wal = fileOf(log);
      return {
        pageSize: 65_536,
        pages: LOCK_PAGE + 1,
        main,
        wal,
        log: {
          salts: Buffer.alloc(8, 0x77),
          pages: Uint32Array.of(LOCK_PAGE + 1),
          offsets: Float64Array.of(32),
        },
      };
    }

    it('are empty in the page that SQLite keeps for its locks', async () => {
      const bytes = Buffer.alloc(3 * 65_536, 0xff);
      await snapshotSource(largeSnapshot()).read(0x40000000 - 65_536, bytes);
      assert.equal(bytes.toString('latin1', 65_532, 65_536), 'file');
      assert.ok(bytes.subarray(65_536, 2 * 65_536).every((byte) => byte === 0));
      assert.ok(bytes.subarray(2 * 65_536).equals(Buffer.alloc(65_536, 'log ')));
    });

    it('are refused when any other page is missing', async () => {
      const snapshot = { ...largeSnapshot(), pages: LOCK_PAGE + 2 };
      const bytes = Buffer.alloc(2 * 65_536);
      await assert.rejects(snapshotSource(snapshot).read(0x40000000 + 65_536, bytes), { code: 'incomplete' });
    });

    it('are refused when the log has begun anew', async () => {
      const { log, ...rest } = largeSnapshot();
      assert.ok(log !== undefined);
      const snapshot = { ...rest, log: { ...log, salts: Buffer.alloc(8, 1) } };
      await assert.rejects(snapshotSource(snapshot).read(0x40000000 + 65_536, Buffer.alloc(65_536)), {
        code: 'incomplete',
        transient: true,
      });
    });
  });
});
