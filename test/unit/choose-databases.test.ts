import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { SourceDriver } from '../../lib/sources/driver.ts';
import { selectNames } from '../../lib/sources/server/selection.ts';
import { readSettings } from '../../nodes/forms/settings.ts';
import { chooseDatabases, entryFor } from '../../nodes/sources/choose-databases.ts';
import { postgresNode } from '../../nodes/sources/postgres.ts';

const { signal } = new AbortController();

/** A source of a server that holds these databases, and its roles. */
function holding(...names: string[]): SourceDriver {
  const databases = names.map((name) => ({ id: `database:${name}`, name, bytes: 1_000_000 }));
  return {
    kind: 'postgres',
    describe: () => 'a server',
    probe: () => assert.fail('not asked'),
    dump: () => assert.fail('not asked'),
    listDatabases: async () => [...databases, { id: 'globals:', name: 'globals' }],
  };
}

describe('choosing databases in a form', () => {
  it('gives each name an entry that means it, whatever the name is', () => {
    const name = fc.oneof(
      fc.string({
        minLength: 1,
        unit: fc.constantFrom(' ', '*', '?', '\\', '$', '{', '}', '(', ')', 'a', '\t'),
      }),
      fc.string({ minLength: 1, unit: 'grapheme' }),
    );
    fc.assert(
      fc.property(name, (database) => {
        const raw = { job: 'x', server: 'y', databases: [entryFor(database)], exclude: [] };
        const read = readSettings(postgresNode, raw);
        assert.ok('settings' in read, JSON.stringify(read));
        assert.deepEqual(selectNames([database], read.settings), [database]);
      }),
    );
  });

  it('means no other name by the entry of a usual one', () => {
    const names = ['shop', 'shop*', 'sho?', String.raw`sh\op`, 'shops', 'Shop'];
    for (const name of names) {
      assert.deepEqual(selectNames(names, { databases: [entryFor(name)], exclude: [] }), [name]);
    }
  });

  it('lists the databases without what belongs to the whole server, and counts those that are meant', async () => {
    const answer = await chooseDatabases(
      holding('shop', 'shop_test', 'odd*name'),
      { databases: ['*'], exclude: ['*_test'] },
      signal,
    );
    assert.equal(answer.level, 'ok');
    assert.deepEqual(answer.values, { selected: 2, count: 3, total: '2.0 MB', missing: '' });
    assert.deepEqual(
      answer.rows?.map(({ name, entry }) => [name, entry]),
      [
        ['shop', 'shop'],
        ['shop_test', 'shop_test'],
        ['odd*name', String.raw`odd\*name`],
      ],
    );
  });

  it('warns of names that the server does not have, and of a choice that takes nothing', async () => {
    const missing = await chooseDatabases(
      holding('shop'),
      { databases: ['shop', 'gone'], exclude: [] },
      signal,
    );
    assert.deepEqual(
      [missing.level, missing.text, missing.values?.missing],
      ['warning', 'databases.missing', 'gone'],
    );
    const none = await chooseDatabases(holding('shop'), { databases: ['a*'], exclude: [] }, signal);
    assert.deepEqual([none.level, none.text], ['warning', 'databases.found']);
  });

  it('refuses a pattern that ends with a lone backslash', () => {
    const raw = { job: 'x', server: 'y', databases: ['shop\\'], exclude: [] };
    const read = readSettings(postgresNode, raw);
    assert.ok('problems' in read);
    assert.match(read.problems[0]?.message ?? '', /^entry 1 does not have the form/);
  });
});
