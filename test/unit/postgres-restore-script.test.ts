import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  knowsRestrict,
  restricted,
  withoutTransactionTimeout,
} from '../../lib/sources/postgres/restore-script.ts';
import { quoteIdentifier, quoteLiteral, statementsOf } from '../../lib/sources/postgres/restore-sql.ts';
import { collect, cut } from '../support/byte-streams.ts';

const HEAD =
  '--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\n-- Dumped from database version 17.1\n\nSET statement_timeout = 0;\nSET transaction_timeout = 0;\nSET row_security = off;\n';
const END = '\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n\n';

describe('a script on its way into psql', () => {
  const rows = fc
    .array(fc.stringMatching(/^[a-z\\ \t]{0,80}$/), { maxLength: 300 })
    .map((lines) =>
      ['\\restrict data', 'SET transaction_timeout = 0;', ...lines, '\\unrestricted'].join('\n'),
    );

  it('loses nothing but the line that older servers refuse, wherever it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(rows, fc.integer({ min: 1, max: 9000 }), async (data, size) => {
        const script = Buffer.from(HEAD + data + END);
        const expected = (HEAD + data + END).replace('SET transaction_timeout = 0;\n', '');
        assert.equal((await collect(withoutTransactionTimeout(cut(script, size)))).toString(), expected);
      }),
    );
  });

  it('is closed to commands by a token of ours, wherever it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(rows, fc.integer({ min: 1, max: 9000 }), async (data, size) => {
        const made = (await collect(restricted(cut(Buffer.from(HEAD + data + END), size)))).toString();
        const [first = '', ...rest] = made.split('\n');
        assert.match(first, /^\\restrict [0-9a-f]{64}$/);
        const expected = (HEAD + data + END).replace('\\restrict abc\n', '').replace('\\unrestrict abc', '');
        assert.equal(rest.join('\n'), expected);
      }),
    );
  });

  it('knows since when psql can be closed', () => {
    for (const version of ['13.22', '15.18', '17.6', '18.1', '18beta1', '19'])
      assert.ok(knowsRestrict(version));
    for (const version of ['9.6', '12.22', '15.13', '17.5']) assert.ok(!knowsRestrict(version));
  });
});

describe('the statements of a dump', () => {
  it('are found whatever names and texts hold', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (name, text) => {
        fc.pre(!name.includes('\0') && name !== '' && !text.includes('\0'));
        const script = `-- DATABASE x; 'y'\nCOMMENT ON DATABASE ${quoteIdentifier(name)} IS ${quoteLiteral(text).trim()};\nSELECT 1;\n`;
        const [comment, select, ...others] = statementsOf(script);
        assert.deepEqual(others, []);
        assert.equal(comment?.nameAfter('DATABASE'), name);
        assert.equal(select?.text, 'SELECT 1');
        assert.equal(comment?.hasCommand, false);
        const renamed = comment?.renamed('DATABASE', 'new "name"');
        assert.equal(renamed?.nameAfter('DATABASE'), 'new "name"');
        assert.ok(renamed?.text.startsWith('COMMENT ON DATABASE "new ""name""" IS'));
        assert.ok(renamed?.text.endsWith(quoteLiteral(text).trim()));
      }),
    );
  });

  it('are told without their strings', () => {
    const [statement] = statementsOf(`ALTER ROLE a WITH PASSWORD 'it''s; secret' VALID UNTIL E'x\\'y';`);
    assert.equal(statement?.withoutStrings(), "ALTER ROLE a WITH PASSWORD '…' VALID UNTIL '…'");
  });
});
