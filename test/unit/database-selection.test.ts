import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Selection, selectNames } from '../../lib/sources/server/selection.ts';

const PRESENT = ['app', 'app_test', 'shop', 'sh*op', 'postgres', 'über 1%'];

describe('a selection of databases', () => {
  it('takes all, and leaves out what is excluded', () => {
    assert.deepEqual(select(['*']), PRESENT);
    assert.deepEqual(select(['*'], ['app*', 'postgres']), ['shop', 'sh*op', 'über 1%']);
  });

  it('takes names, and patterns that match whole names', () => {
    assert.deepEqual(select(['shop', 'app']), ['app', 'shop']);
    assert.deepEqual(select(['app?test', 'sh']), ['app_test', 'sh']);
    assert.deepEqual(select(['sh\\*op']), ['sh*op']);
  });

  it('keeps a name that does not exist, so that its dump fails', () => {
    assert.deepEqual(select(['gone', 'shop']), ['shop', 'gone']);
    assert.deepEqual(select(['gone'], ['gone']), []);
  });

  it('refuses a lone backslash', () => {
    assert.throws(() => select(['shop\\']), {
      code: 'invalid-config',
      message: /shop\\ ends with a backslash/,
    });
  });

  it('law: matches as the same regular expression does', () => {
    const part = fc.constantFrom('a', 'b', '😀', '.', '*', '?');
    fc.assert(
      fc.property(
        fc.array(part, { minLength: 1, maxLength: 6 }),
        fc.array(part, { maxLength: 6 }),
        (parts, name) => {
          const source = parts.map((each) =>
            each === '*' ? '[^]*' : each === '?' ? '[^]' : each.replace('.', '\\.'),
          );
          const expected = new RegExp(`^${source.join('')}$`, 'u').test(name.join(''));
          const found = selectNames([name.join(''), 'other'], { databases: [parts.join('')], exclude: [] });
          assert.equal(found.includes(name.join('')), expected);
        },
      ),
    );
  });

  it('needs no time for a pattern of many wildcards', () => {
    const name = 'customer_orders_archive_2024_eu_west';
    const selection = { databases: [`${'*?'.repeat(12)}#`], exclude: [] };
    assert.deepEqual(selectNames([name, `${name}#`], selection), [`${name}#`]);
  });

  it('takes every name literally when its wildcards are escaped', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: 'grapheme' }), (name) => {
        const escaped = name.replaceAll(/[\\*?]/g, '\\$&');
        const selection = { databases: [escaped], exclude: [] };
        assert.deepEqual(selectNames([name, `${name}x`, `x${name}`], selection), [name]);
      }),
    );
  });
});

function select(databases: Selection['databases'], exclude: Selection['exclude'] = []): string[] {
  return selectNames(PRESENT, { databases, exclude });
}
