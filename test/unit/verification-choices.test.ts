import assert from 'node:assert/strict';
import { NO_ANNOTATIONS } from '../../lib/backupset/annotation-format.ts';
import type { BackupSet } from '../../lib/backupset/reader.ts';
import type { VerifyLevel } from '../../lib/backupset/verify-levels.ts';
import { BackupError } from '../../lib/errors.ts';
import { complaintAbout, isMisspelt, parseAssertion } from '../../lib/restore/assertions.ts';
import { type SampledSet, sampleSets } from '../../lib/restore/sample-sets.ts';
import { verdictOf } from '../../lib/restore/verdict.ts';
import { mysqlFailure } from '../../lib/sources/mysql/failures.ts';
import { postgresFailure } from '../../lib/sources/postgres/failures.ts';
import { failedAnswer, leftoverScratches, scratchName } from '../../lib/sources/scratch.ts';
import { sqliteFailure } from '../../lib/sources/sqlite/failures.ts';

describe('assertions', () => {
  it('are a statement and what is expected, maybe of one database', () => {
    assert.deepEqual(parseAssertion('SELECT count(*) FROM orders => >= 1000'), {
      sql: 'SELECT count(*) FROM orders',
      expect: '>= 1000',
    });
    assert.deepEqual(parseAssertion("  [my shop] SELECT 'a => b' => a => b  "), {
      sql: "SELECT 'a => b' => a",
      expect: 'b',
      database: 'my shop',
    });
    for (const wrong of ['', 'SELECT 1', ' => 1', 'SELECT 1 => ', 'SELECT 1 => > many']) {
      assert.throws(() => parseAssertion(wrong), { code: 'invalid-config' });
    }
  });

  it('hold or not, numbers by their value', () => {
    const holds = (value: string | null | undefined, expect: string) =>
      complaintAbout({ sql: 'q', expect }, { value }) === undefined;
    const table: readonly (readonly [string | null | undefined, string, boolean])[] = [
      ['10.0', '10', true],
      ['10', '= 10', true],
      ['abc', 'abc', true],
      ['abc', '!= abd', true],
      ['9007199254740993', '9007199254740993', true],
      ['10', '>= 10', true],
      ['10', '> 10', false],
      ['9', '< 10', true],
      ['-1', '<= -1', true],
      ['many', '> 1', false],
      ['', '', true],
      [null, 'NULL', true],
      [null, '0', false],
      [undefined, 'NULL', false],
    ];
    for (const [value, expect, expected] of table) {
      assert.equal(holds(value, expect), expected, `${value} ${expect}`);
    }
  });

  it('are told from misspelt ones', () => {
    const failed = (message: string) => ({ error: new BackupError('incomplete', message) });
    assert.ok(isMisspelt(failed('syntax error at or near "SELEKT"')));
    assert.ok(isMisspelt(failed('You have an error in your SQL syntax')));
    assert.ok(isMisspelt(failed('cannot execute DELETE in a read-only transaction')));
    assert.ok(isMisspelt(failed('Cannot execute statement in a READ ONLY transaction')));
    assert.ok(isMisspelt(failed('attempt to write a readonly database')));
    assert.ok(!isMisspelt(failed('relation "orders" does not exist')));
    assert.ok(!isMisspelt(failed('no such column: read_only')));
    assert.ok(!isMisspelt(failed('invalid input syntax for type integer: "x"')));
    assert.ok(isMisspelt(failed('near "SELEKT": syntax error')));
    assert.ok(!isMisspelt({ value: 'syntax error' }));
  });
});

describe('what a server says to an assertion', () => {
  const ofPostgres = (code: string) => postgresFailure(Object.assign(new Error('x'), { code }), 'server');
  const ofMysql = (errno: number) =>
    mysqlFailure(Object.assign(new Error('x'), { errno, code: 'ER_X' }), 'server');
  const ofSqlite = (code: string) => sqliteFailure(Object.assign(new Error('x'), { code }), 'file');

  it('is an answer when the statement and the data do not fit together', () => {
    for (const error of [ofPostgres('42P01'), ofMysql(1146), ofMysql(1054), ofSqlite('SQLITE_ERROR')]) {
      assert.deepEqual(failedAnswer(error), { error });
    }
  });

  it('is none when the server could not do it: that says nothing about the set', () => {
    for (const error of [
      ofPostgres('53100'),
      ofPostgres('42501'),
      ofPostgres('57P01'),
      ofPostgres('57014'),
      ofMysql(1021),
      ofMysql(1142),
      ofMysql(2013),
      ofSqlite('SQLITE_FULL'),
      ofSqlite('SQLITE_IOERR_WRITE'),
      ofSqlite('SQLITE_NOMEM'),
    ]) {
      assert.throws(() => failedAnswer(error), error);
    }
  });
});

describe('the choice of sets to verify', () => {
  /** The newest first; `looks`: what was looked at on which day. */
  function set(name: string, ...looks: (readonly [number, VerifyLevel, boolean?])[]): SampledSet {
    const verifications = looks.map(([day, level, ok = true]) => ({
      at: `2026-11-0${day}T00:00:00.000Z`,
      level,
      ok,
      host: 'h',
    }));
    return { set: { path: name } as BackupSet, annotations: { ...NO_ANNOTATIONS, verifications } };
  }
  const chosen = (...[sets, sample, level, random]: Parameters<typeof sampleSets>) =>
    sampleSets(sets, sample, level, random).map(({ path }) => path);

  it('takes the newest, all, or one of the newest by chance', () => {
    const sets = ['d', 'c', 'b', 'a'].map((name) => set(name));
    assert.deepEqual(chosen(sets, { which: 'latest' }, 'hash'), ['d']);
    assert.deepEqual(chosen(sets, { which: 'all' }, 'hash'), ['d', 'c', 'b', 'a']);
    const random = (value: number) => chosen(sets, { which: 'random', last: 3 }, 'hash', () => value);
    assert.deepEqual([random(0), random(0.5), random(0.999)], [['d'], ['c'], ['b']]);
    assert.deepEqual(
      chosen([], { which: 'random', last: 3 }, 'hash', () => 0.5),
      [],
    );
  });

  it('takes the one that was not looked at so deeply for the longest time, the oldest of those that never were', () => {
    const unverified = (level: VerifyLevel, ...sets: SampledSet[]) =>
      chosen(sets, { which: 'unverified' }, level);
    assert.deepEqual(unverified('hash', set('c'), set('b'), set('a', [1, 'hash'])), ['b']);
    assert.deepEqual(
      unverified('hash', set('c', [3, 'hash']), set('b', [1, 'restore']), set('a', [2, 'hash'])),
      ['b'],
    );
    assert.deepEqual(unverified('restore', set('b', [1, 'restore']), set('a', [2, 'hash'])), ['a']);
    // One that is known as bad does not keep the others from their turn.
    assert.deepEqual(unverified('hash', set('b', [1, 'hash']), set('a', [2, 'hash', false])), ['b']);
  });
});

describe('verdicts', () => {
  const report = (...errors: (BackupError | undefined)[]) => ({
    set: 's',
    level: 'hash' as const,
    ok: errors.every((error) => error === undefined),
    artifacts: errors.map((error) => ({
      database: 'd',
      file: 'f',
      bytes: 1,
      ok: error === undefined,
      ...(error === undefined ? {} : { error }),
    })),
  });

  it('condemn a set for what is wrong with it, and not for what is in the way', () => {
    const of = (code: BackupError['code'], transient = false) => new BackupError(code, 'x', { transient });
    assert.equal(verdictOf(report(undefined)), 'good');
    for (const code of ['corrupt', 'incomplete', 'not-found'] as const) {
      assert.equal(verdictOf(report(undefined, of(code))), 'bad', code);
      assert.equal(verdictOf(report(of(code, true))), 'unknown', code);
    }
    for (const code of [
      'unavailable',
      'permission',
      'no-space',
      'missing-key',
      'wrong-key',
      'stalled',
    ] as const) {
      assert.equal(verdictOf(report(of(code))), 'unknown', code);
    }
    assert.equal(verdictOf(report(of('missing-key'), of('corrupt'))), 'bad');
  });
});

describe('names of scratch databases', () => {
  it('tell their age, and fit every server', () => {
    const now = new Date('2026-11-22T14:30:05Z');
    const name = scratchName(now);
    assert.match(name, /^dbackup_verify_20261122143005_[0-9a-f]{8}$/);
    assert.ok(`${name}_restoring_0123abcd`.length <= 63);
    const later = (hours: number) => new Date(now.getTime() + hours * 3600_000);
    assert.deepEqual(leftoverScratches([name], later(23)), []);
    assert.deepEqual(leftoverScratches([name, 'dbackup_verify_x', 'shop'], later(25)), [name]);
  });
});
