import assert from 'node:assert/strict';
import fc from 'fast-check';
import { BackupError } from '../../lib/errors.ts';
import { runAnnotations } from '../../lib/plan/run-annotations.ts';
import {
  annotationsOf,
  parseRunParameters,
  readRunParameters,
  withoutRunParameters,
} from '../../lib/plan/run-parameters.ts';
import type { DatabaseInfo, SourceDriver } from '../../lib/sources/driver.ts';
import { narrowSource } from '../../lib/sources/narrowed.ts';

const signal = new AbortController().signal;

describe('parameters of a message', () => {
  it('are taken as they are, and nothing else of the message', () => {
    const message = {
      _msgid: 'm',
      payload: 1,
      databases: ['shop', 'crm_*'],
      tags: ['pre-migration'],
      pin: true,
    };
    assert.deepEqual(readRunParameters({ ...message, note: null }), {
      databases: ['shop', 'crm_*'],
      tags: ['pre-migration'],
      pin: true,
    });
    assert.deepEqual(withoutRunParameters({ ...message, note: 'x' }), { _msgid: 'm', payload: 1 });
  });

  it('become the annotations that a recipe takes', () => {
    const annotations = annotationsOf({ tags: ['a', 'b', 'a'], note: 'before the move', pin: false });
    assert.deepEqual(annotations, { tags: ['a', 'b'], note: 'before the move', pinned: false });
    assert.deepEqual(runAnnotations.parse(annotations), annotations);
    assert.deepEqual(annotationsOf({ tags: [] }), {});
  });

  for (const [what, wrong, field] of [
    ['a text for a list', { databases: 'shop' }, 'databases'],
    ['no database at all', { databases: [] }, 'databases'],
    ['an empty name', { databases: [''] }, 'databases'],
    ['a pattern that ends with a backslash', { databases: ['shop\\'] }, 'databases'],
    ['a line break in a name', { databases: ['a\nb'] }, 'databases'],
    ['a tag with a blank', { tags: ['pre migration'] }, 'tags'],
    ['a tag that is long', { tags: ['x'.repeat(65)] }, 'tags'],
    ['many tags', { tags: Array.from({ length: 21 }, (_, i) => `t${i}`) }, 'tags'],
    ['a number as a tag', { tags: [17] }, 'tags'],
    ['"true" as a truth value', { pin: 'true' }, 'pin'],
    ['an object as a note', { note: {} }, 'note'],
    ['a note that steers a terminal', { note: '\u001b[31m' }, 'note'],
  ] as const) {
    it(`refuse ${what}, naming it`, () => {
      assert.throws(
        () => readRunParameters(wrong),
        (error) =>
          error instanceof BackupError && error.code === 'invalid-config' && error.message.includes(field),
      );
      assert.equal(parseRunParameters(wrong).ok, false);
    });
  }

  it('refuse what is not known, where all of it is meant', () => {
    const parsed = parseRunParameters({ database: ['shop'] });
    assert.match(parsed.ok ? '' : parsed.problem, /database/);
  });

  it('law: whatever a message holds, it is taken as it must be or refused with an error of ours', () => {
    const anything = fc.record({
      databases: fc.anything(),
      tags: fc.anything(),
      note: fc.anything(),
      pin: fc.anything(),
    });
    fc.assert(
      fc.property(anything, (message) => {
        try {
          const annotations = annotationsOf(readRunParameters(message));
          assert.ok(runAnnotations.safeParse(annotations).success);
        } catch (error) {
          if (!(error instanceof BackupError)) throw error;
        }
      }),
    );
  });
});

describe('a source narrowed to some databases', () => {
  const server = [
    { id: 'globals', name: 'globals' },
    { id: 'database:shop', name: 'shop', bytes: 5 },
    { id: 'database:crm_1', name: 'crm_1' },
    { id: 'database:crm_2', name: 'crm_2' },
  ];
  const names = async (listed: readonly DatabaseInfo[], ...wanted: string[]) =>
    (await narrowSource(sourceOf(listed), wanted).listDatabases(signal)).map(({ name }) => name);

  it('lists those that are meant, in the order of the source, and the roles of the server', async () => {
    assert.deepEqual(await names(server, 'crm_*'), ['globals', 'crm_1', 'crm_2']);
    assert.deepEqual(await names(server, 'crm_2', 'shop', 'crm_?'), ['globals', 'shop', 'crm_1', 'crm_2']);
    assert.deepEqual(await names([{ id: '/srv/a.sqlite', name: 'a.sqlite' }], 'a.*'), ['a.sqlite']);
  });

  it('refuses what the source does not dump, and names what it does', async () => {
    await assert.rejects(names(server, 'shop', 'hr'), /asks for "hr".*: shop, crm_1, crm_2/);
    await assert.rejects(names(server, 'hr_*'), /asks for "hr_\*"/);
    await assert.rejects(names(server, 'globals'), /asks for "globals"/);
  });

  it('tells so before a run, but leaves a server that does not answer to the run', async () => {
    await assert.rejects(
      narrowSource(sourceOf(server), ['hr']).prepare?.(signal) ?? Promise.resolve(),
      /"hr"/,
    );
    const down = {
      ...sourceOf(server),
      listDatabases: () => Promise.reject(new BackupError('unavailable', 'down')),
    };
    await narrowSource(down, ['shop']).prepare?.(signal);
    const toolMissing = {
      ...sourceOf(server),
      prepare: () => Promise.reject(new BackupError('unavailable', 'no tool')),
    };
    await assert.rejects(
      narrowSource(toolMissing, ['shop']).prepare?.(signal) ?? Promise.resolve(),
      /no tool/,
    );
  });
});

function sourceOf(listed: readonly DatabaseInfo[]): SourceDriver {
  const unused = () => Promise.reject(new Error('not asked for'));
  return {
    kind: 'test',
    describe: () => 'test',
    probe: unused,
    dump: unused,
    listDatabases: async () => [...listed],
  };
}
