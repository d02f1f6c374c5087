import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { differences } from '../../demo/compare.ts';
import { createSampleDatabase, inspectSampleDatabase, ledgerLength } from '../../demo/sample-database.ts';

const WRITER = join(import.meta.dirname, '..', '..', 'demo', 'ledger-writer.ts');

describe('sample database', function () {
  this.timeout(240_000);
  let folder: string;
  let file: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'dbackup-sample-'));
    file = join(folder, 'shop.sqlite');
    createSampleDatabase(file, 5_000_000);
    await write(file);
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  it('has about the size that was asked for', () => {
    const { size } = statSync(file);
    assert.ok(size > 4_000_000 && size < 7_000_000, `${size} bytes`);
  });

  it('is consistent after its writer was at work', () => {
    const state = inspectSampleDatabase(file);
    assert.equal(state.integrity, 'ok');
    assert.ok(state.consistent);
    assert.ok(state.ledger >= 100);
    assert.equal(ledgerLength(file), state.ledger);
  });

  describe('comparison', () => {
    const compare = (change?: string, limits: { before?: number; after?: number } = {}) => {
      const copy = join(folder, 'copy.sqlite');
      copyFileSync(file, copy);
      if (change !== undefined) {
        const database = new Database(copy);
        database.exec(change);
        database.close();
      }
      const source = inspectSampleDatabase(file);
      const { ledger } = source;
      const range = { before: ledger - 5, after: ledger + 5, ...limits };
      return differences({ source, restored: inspectSampleDatabase(copy), ...range });
    };

    it('finds no difference in a faithful copy', () => {
      assert.deepEqual(compare(), []);
    });

    for (const [what, change, message] of [
      [
        'one changed byte of a document',
        "UPDATE documents SET content = substr(content, 2) || x'00' WHERE id = 3",
        /documents/,
      ],
      ['a lost row', 'DELETE FROM orders WHERE id = 7', /orders/],
      ['a changed text', "UPDATE customers SET note = note || ' ' WHERE id = 2", /customers/],
      ['a gap in the ledger', 'DELETE FROM ledger WHERE n = 10', /gap/],
      ['half a transaction', "INSERT INTO ledger SELECT max(n) + 1, 5, '' FROM ledger", /torn transaction/],
    ] as const) {
      it(`finds ${what}`, () => {
        const found = compare(change);
        assert.equal(found.length, 1, found.join('; '));
        assert.match(found[0] ?? '', message);
      });
    }

    it('finds a copy of another time, and a writer that did nothing', () => {
      const { ledger } = inspectSampleDatabase(file);
      assert.match(compare(undefined, { before: ledger + 1 }).join(), /entries, the source had/);
      assert.match(compare(undefined, { after: ledger - 1 }).join(), /entries, the source had/);
      assert.match(compare(undefined, { before: ledger, after: ledger }).join(), /wrote nothing/);
    });
  });
});

async function write(file: string): Promise<void> {
  const writer = spawn(process.execPath, [WRITER, file], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(writer.stdout, 'data');
  writer.kill('SIGTERM');
  await once(writer, 'exit');
}
