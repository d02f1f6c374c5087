import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  checkWish,
  firstAnnotations,
  lastProof,
  withVerification,
  withWish,
} from '../../lib/backupset/annotation-changes.ts';
import {
  type Annotations,
  type AskedAssertion,
  annotationsText,
  MAX_ANNOTATIONS_BYTES,
  MAX_VERIFICATIONS,
  NO_ANNOTATIONS,
  parseAnnotations,
  type Verification,
} from '../../lib/backupset/annotation-format.ts';
import { NOTHING_ASKED, remedyOf } from '../../lib/backupset/known-bad.ts';
import { isAsDeep, VERIFY_LEVELS, type VerifyLevel } from '../../lib/backupset/verify-levels.ts';
import { BackupError } from '../../lib/errors.ts';

const tags = fc.uniqueArray(fc.constantFrom('a', 'b', 'pre-migration', 'über', 'v1.2'), { maxLength: 4 });

function verified(level: VerifyLevel, ok: boolean, at = '2026-11-22T14:30:00.000Z'): Verification {
  return { at, level, ok, host: 'db1', ...(ok ? {} : { message: `${level} failed` }) };
}

function askedText({ database, text }: AskedAssertion): string {
  return `[${database}] ${text}`;
}

describe('annotations', () => {
  it('adds and removes tags, each once, in their order', () => {
    fc.assert(
      fc.property(tags, tags, tags, (first, addTags, removeTags) => {
        const wished = withWish({ ...NO_ANNOTATIONS, tags: first }, { addTags, removeTags });
        assert.deepEqual(new Set(wished.tags).size, wished.tags.length);
        for (const tag of addTags) assert.ok(wished.tags.includes(tag));
        for (const tag of removeTags) assert.equal(wished.tags.includes(tag), addTags.includes(tag));
        assert.deepEqual(withWish(wished, { addTags, removeTags }).tags.toSorted(), wished.tags.toSorted());
      }),
    );
  });

  it('leaves alone what a wish does not speak of, and takes a note away with an empty one', () => {
    const noted = withWish(NO_ANNOTATIONS, { note: 'before the move', pinned: true, addTags: ['a'] });
    assert.deepEqual(withWish(noted, {}), noted);
    const plain = withWish(noted, { note: '' });
    assert.deepEqual(plain, { ...NO_ANNOTATIONS, tags: ['a'], pinned: true });
  });

  it('keeps what it does not know', () => {
    const text = annotationsText({ ...NO_ANNOTATIONS, later: { a: 1 } } as Annotations);
    const changed = withWish(parseAnnotations(text, 'it'), { pinned: true });
    assert.deepEqual(JSON.parse(annotationsText(changed)).later, { a: 1 });
  });

  it('refuses what is no tag, too many of them, and control characters in a note', () => {
    for (const wish of [{ addTags: ['two words'] }, { removeTags: [''] }, { note: 'a\u0000b' }]) {
      assert.throws(
        () => checkWish(wish),
        (error) => error instanceof BackupError && error.code === 'invalid-config',
      );
    }
    const many = Array.from({ length: 60 }, (_, n) => `t${n}`);
    assert.throws(() => annotationsText(withWish(NO_ANNOTATIONS, { addTags: many })), /refused/);
  });

  it('begins with what the run was told, and with nothing when it was told nothing', () => {
    const by = { id: 'run', at: '2026-11-22T14:30:00.000Z' };
    assert.equal(firstAnnotations(undefined, by), NO_ANNOTATIONS);
    assert.equal(firstAnnotations({}, by), NO_ANNOTATIONS);
    const first = firstAnnotations({ tags: ['a'], pinned: true }, by);
    assert.deepEqual(first, {
      ...NO_ANNOTATIONS,
      tags: ['a'],
      pinned: true,
      changes: ['run'],
      updatedAt: by.at,
    });
    assert.deepEqual(parseAnnotations(annotationsText(first), 'it'), first);
  });

  it('is bad from the first failure on, until as deep a look finds it whole', () => {
    const looks = fc.array(fc.tuple(fc.constantFrom(...VERIFY_LEVELS), fc.boolean()), { maxLength: 30 });
    fc.assert(
      fc.property(looks, (sequence) => {
        let state: Annotations = NO_ANNOTATIONS;
        let deepest: VerifyLevel | undefined;
        for (const [level, ok] of sequence) {
          state = withVerification(state, verified(level, ok));
          if (!ok) deepest = deepest !== undefined && isAsDeep(deepest, level) ? deepest : level;
          else if (deepest !== undefined && isAsDeep(level, deepest)) deepest = undefined;
          assert.equal(state.knownBad?.level, deepest);
          assert.ok(state.verifications.length <= MAX_VERIFICATIONS);
        }
        parseAnnotations(annotationsText(state), 'it');
      }),
    );
  });

  it('is bad after an assertion failed, until a test restore asks all that failed and finds it whole', () => {
    const assertion = fc.record({
      database: fc.constantFrom('shop', 'blog'),
      text: fc.constantFrom('SELECT 1 => 2', 'SELECT 1 => 3'),
    });
    const some = fc.uniqueArray(assertion, { maxLength: 4, selector: askedText });
    const look = fc.record({ level: fc.constantFrom(...VERIFY_LEVELS), held: some, failed: some });
    fc.assert(
      fc.property(fc.array(look, { maxLength: 20 }), fc.boolean(), (looks, isRestoreBad) => {
        let state: Annotations = NO_ANNOTATIONS;
        const open = new Map<string, AskedAssertion>();
        if (isRestoreBad) state = withVerification(state, verified('restore', false));
        let isBad = isRestoreBad;
        for (const { level, held, failed } of looks) {
          const asked = level === 'restore' ? { held, failed } : NOTHING_ASKED;
          const ok = asked.failed.length === 0;
          state = withVerification(state, verified(level, ok), asked);
          for (const each of asked.failed) open.set(askedText(each), each);
          const isCovered = [...open.values()].every((each) => held.map(askedText).includes(askedText(each)));
          if (!ok) isBad = true;
          else if (level === 'restore' && isCovered) {
            isBad = false;
            open.clear();
          }
          state = parseAnnotations(annotationsText(state), 'it');
          assert.equal(state.knownBad !== undefined, isBad);
          assert.deepEqual(state.knownBad?.assertions?.map(askedText) ?? [], [...open.keys()]);
        }
      }),
    );
  });

  it('tells what takes the mark back, and asks no more for what a person has forgotten', () => {
    const failed = [{ database: 'shop', text: 'SELECT count(*) FROM orders => >= 1000' }];
    const bad = withVerification(NO_ANNOTATIONS, verified('restore', false), { held: [], failed });
    const remedy = remedyOf(bad.knownBad ?? assert.fail());
    assert.match(remedy, /asks again what failed.*: \[shop\] SELECT count\(\*\) FROM orders => >= 1000\./);
    assert.match(remedy, /--forget-assertions, msg\.forgetAssertions/);
    const forgetting = { ...NOTHING_ASKED, forgetsEarlier: true };
    // Only a test restore asks at all.
    assert.ok(withVerification(bad, verified('content', true), forgetting).knownBad !== undefined);
    assert.equal(withVerification(bad, verified('restore', true), forgetting).knownBad, undefined);
    const other = { database: 'blog', text: 'SELECT 1 => 2' };
    const still = withVerification(bad, verified('restore', false), { ...forgetting, failed: [other] });
    assert.deepEqual(still.knownBad?.assertions, [other]);
    const hash = withVerification(NO_ANNOTATIONS, verified('hash', false)).knownBad;
    assert.match(remedyOf(hash ?? assert.fail()), /^only a verification of the level hash or a deeper one/);
    const rows = withVerification(NO_ANNOTATIONS, verified('restore', false)).knownBad;
    assert.match(remedyOf(rows ?? assert.fail()), /^only a test restore \(level restore\) takes that back$/);
  });

  it('takes no mark back of which is not known what failed, unless a person says so', () => {
    const since = '2026-01-01T00:00:00.000Z';
    const old = (level: VerifyLevel): Annotations =>
      parseAnnotations(
        annotationsText({ ...NO_ANNOTATIONS, knownBad: { since, reason: 'it failed', level } }),
        'it',
      );
    for (const level of ['manifest', 'hash', 'content'] as const) {
      assert.equal(withVerification(old(level), verified(level, true)).knownBad, undefined);
    }
    const asking = { held: [{ database: 'shop', text: 'SELECT 1 => 1' }], failed: [] };
    const stays = withVerification(old('restore'), verified('restore', true), asking);
    assert.deepEqual(stays.knownBad, { since, reason: 'it failed', level: 'restore' });
    assert.match(remedyOf(stays.knownBad), /^what was asked is not known/);
    const failed = { held: [], failed: asking.held };
    const again = withVerification(stays, verified('restore', false), failed);
    assert.equal(again.knownBad?.assertions, undefined);
    assert.ok(withVerification(again, verified('restore', true), asking).knownBad !== undefined);
    const forgetting = { ...asking, forgetsEarlier: true };
    assert.equal(withVerification(again, verified('restore', true), forgetting).knownBad, undefined);
    const deeper = withVerification(old('hash'), verified('restore', false), failed);
    assert.deepEqual(deeper.knownBad?.assertions, failed.failed);
  });

  it('stays readable however many assertions fail, and then no longer knows which', () => {
    const failed = Array.from({ length: 5000 }, (_, n) => ({
      database: `shop${n}`,
      text: `SELECT ${'x'.repeat(90)} => 1`,
    }));
    const bad = withVerification(NO_ANNOTATIONS, verified('restore', false), { held: [], failed });
    assert.ok(Buffer.byteLength(annotationsText(bad)) < MAX_ANNOTATIONS_BYTES / 2);
    assert.equal(bad.knownBad?.assertions, undefined);
    const all = { held: failed, failed: [] };
    assert.ok(withVerification(bad, verified('restore', true), all).knownBad !== undefined);
  });

  it('keeps since when a set is bad, and the latest verifications', () => {
    let state: Annotations = withVerification(
      NO_ANNOTATIONS,
      verified('hash', false, '2026-01-01T00:00:00.000Z'),
    );
    for (let day = 10; day < 35; day += 1) {
      state = withVerification(
        state,
        verified('manifest', day % 2 === 0, `2026-02-${String(day % 28).padStart(2, '0')}T00:00:00.000Z`),
      );
    }
    assert.equal(state.knownBad?.since, '2026-01-01T00:00:00.000Z');
    assert.equal(state.verifications.length, MAX_VERIFICATIONS);
    assert.equal(lastProof(state, 'hash'), undefined);
    assert.equal(lastProof(state)?.level, 'manifest');
  });

  it('cuts a long message short, so that it can always be stored', () => {
    const state = withVerification(NO_ANNOTATIONS, {
      ...verified('hash', false),
      message: 'x'.repeat(100_000),
    });
    assert.ok(parseAnnotations(annotationsText(state), 'it').knownBad?.reason.endsWith('…'));
  });

  it('tells damage from a newer version', () => {
    const code = (text: string) => {
      try {
        parseAnnotations(text, 'it');
        return 'read';
      } catch (error) {
        return error instanceof BackupError ? error.code : error;
      }
    };
    const text = annotationsText(NO_ANNOTATIONS);
    for (let end = 0; end < text.length - 2; end += 1) assert.equal(code(text.slice(0, end)), 'corrupt');
    for (const other of ['[]', 'null', '1', '{}', text.replace('false', '"no"')])
      assert.equal(code(other), 'corrupt');
    assert.equal(code(text.replace('"version": 1', '"version": 2')), 'invalid-config');
  });
});
