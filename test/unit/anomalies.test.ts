import assert from 'node:assert/strict';
import fc from 'fast-check';
import { aboutContent, judgeAge, judgeBackup } from '../../lib/anomalies/judge.ts';
import { type GuardLimitsInput, guardOptions } from '../../lib/anomalies/limits.ts';
import { type Observation, observe } from '../../lib/anomalies/observation.ts';
import { isUsual, medianOf, usualRange } from '../../lib/anomalies/usual-range.ts';
import { carriedAnnotations } from '../../lib/backupset/annotation-changes.ts';
import {
  type Annotations,
  annotationsText,
  MAX_SUSPICIONS,
  NO_ANNOTATIONS,
  parseAnnotations,
} from '../../lib/backupset/annotation-format.ts';
import { isSuspicious, withoutSuspicion, withSuspicion } from '../../lib/backupset/suspicion.ts';
import { annotationCell, annotationFields } from '../../runner/set-annotations.ts';
import { sampleManifest } from '../support/sample-manifest.ts';

const MB = 1_000_000;

interface Given {
  readonly seconds?: number;
  /** Bytes, or bytes and rows, by database. */
  readonly databases?: Readonly<Record<string, number | { bytes: number; rows: Record<string, number> }>>;
  readonly failed?: readonly string[];
}

function backup({ seconds = 100, databases = { shop: 100 * MB }, failed = [] }: Given = {}): Observation {
  return {
    durationMs: seconds * 1000,
    databases: new Map(
      Object.entries(databases).map(([name, given]) => {
        if (typeof given === 'number') return [name, { name, rawBytes: given }];
        return [name, { name, rawBytes: given.bytes, tables: new Map(Object.entries(given.rows)) }];
      }),
    ),
    failed: new Set(failed),
  };
}

const times = (count: number, given: Given = {}) => Array.from({ length: count }, () => backup(given));
const limitsOf = (given: GuardLimitsInput = {}) => guardOptions.parse(given);
const verdictOf = (current: Given, before: readonly Observation[], limits: GuardLimitsInput = {}) =>
  judgeBackup(backup(current), before, limitsOf(limits));
const kindsOf = (current: Given, before: readonly Observation[], limits: GuardLimitsInput = {}) =>
  verdictOf(current, before, limits).findings.map(({ kind }) => kind);

const value = fc.integer({ min: 0, max: 2 ** 40 });
const history = fc.array(value, { minLength: 1, maxLength: 30 });
const tolerance = fc.record({
  deviation: fc.double({ min: 0, max: 5, noNaN: true }),
  floor: fc.integer({ min: 0, max: 1_000_000 }),
});

describe('what is usual', () => {
  it('is the median whatever the history, and never less than nothing', () => {
    fc.assert(
      fc.property(history, tolerance, (values, wanted) => {
        const range = usualRange(values, wanted);
        assert.ok(isUsual(medianOf(values), range));
        assert.ok(range.low >= 0);
      }),
    );
  });

  it('gets less usual with the distance from the median', () => {
    fc.assert(
      fc.property(history, tolerance, value, value, (values, wanted, one, other) => {
        const range = usualRange(values, wanted);
        const [near, far] = [one, other].sort((a, b) => a - b) as [number, number];
        // Above the median the lower of two is nearer, below it the higher.
        if (near >= range.median) assert.ok(!isUsual(far, range) || isUsual(near, range));
        if (far <= range.median) assert.ok(!isUsual(near, range) || isUsual(far, range));
      }),
    );
  });

  it('does not depend on the unit: all values and the floor times the same are as usual as before', () => {
    // Powers of two multiply without rounding.
    fc.assert(
      fc.property(
        history,
        tolerance,
        value,
        fc.integer({ min: -10, max: 10 }),
        (values, wanted, one, power) => {
          const factor = 2 ** power;
          const scaled = usualRange(
            values.map((each) => each * factor),
            { ...wanted, floor: wanted.floor * factor },
          );
          assert.equal(isUsual(one * factor, scaled), isUsual(one, usualRange(values, wanted)));
        },
      ),
    );
  });

  it('does not depend on the order of the history', () => {
    fc.assert(
      fc.property(history, tolerance, (values, wanted) => {
        assert.deepEqual(usualRange(values.toReversed(), wanted), usualRange(values, wanted));
      }),
    );
  });

  it('is as wide as the tolerance when the history never changes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1000, max: 2 ** 40 }), fc.integer({ min: 3, max: 20 }), (size, count) => {
        const range = usualRange(new Array<number>(count).fill(size), { deviation: 0.3, floor: 0 });
        for (const near of [size - 1, size + 1, size * 0.71, size * 1.29]) assert.ok(isUsual(near, range));
        for (const far of [size * 0.69, size * 1.31, 0]) assert.ok(!isUsual(far, range));
      }),
    );
  });

  it('follows most of the history: fewer than half of it, however wrong, do not move it beyond the others', () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 4 }), (wrong) => {
        const values = [...wrong, ...[100, 101, 102, 103, 104].map((each) => each * MB)];
        const { median } = usualRange(values, { deviation: 0, floor: 0 });
        assert.ok(median >= 100 * MB && median <= 104 * MB);
      }),
    );
  });

  it('gives values that vary more room, but never takes the loss of nearly all for usual', () => {
    const varying = usualRange([20, 180, 60, 140, 100], { deviation: 0.1, floor: 0 });
    assert.ok(isUsual(30, varying) && isUsual(200, varying));
    assert.ok(!isUsual(9, varying));
    const steady = usualRange([98, 99, 100, 101, 102], { deviation: 0.1, floor: 0 });
    assert.ok(!isUsual(30, steady));
  });
});

describe('the verdict about a backup', () => {
  it('is unknown until there are enough good ones before it, and says how many there are', () => {
    for (const count of [0, 4]) {
      const verdict = verdictOf({ databases: { shop: 1 } }, times(count));
      assert.deepEqual(verdict, {
        verdict: 'unknown',
        compared: count,
        needed: 5,
        findings: [],
        notCompared: ['shop'],
      });
    }
    assert.equal(verdictOf({}, times(5)).verdict, 'fine');
    assert.equal(verdictOf({ databases: { shop: 1 } }, times(5)).verdict, 'suspicious');
  });

  it('tells a database that has become much smaller or larger, with what is usual', () => {
    const [finding] = verdictOf({ databases: { shop: 60 * MB } }, times(5)).findings;
    assert.deepEqual(finding, {
      kind: 'size',
      message: 'shop has 60 MB, usual are 100 MB',
      database: 'shop',
      value: 60 * MB,
      expected: 100 * MB,
    });
    assert.deepEqual(kindsOf({ databases: { shop: 140 * MB } }, times(5)), ['size']);
    assert.deepEqual(kindsOf({ databases: { shop: 75 * MB } }, times(5)), []);
    assert.deepEqual(kindsOf({ databases: { shop: 75 * MB } }, times(5), { sizeDeviation: 20 }), ['size']);
    assert.deepEqual(kindsOf({ databases: { shop: 1 } }, times(5), { sizeDeviation: 0 }), []);
    assert.deepEqual(kindsOf({ databases: { shop: 4096 } }, times(5, { databases: { shop: 65_536 } })), []);
  });

  it('looks at the newest of the history only, as many as wanted', () => {
    const before = [...times(3, { databases: { shop: 10 * MB } }), ...times(20)];
    assert.deepEqual(kindsOf({ databases: { shop: 10 * MB } }, before, { runs: 3 }), []);
    assert.deepEqual(kindsOf({ databases: { shop: 10 * MB } }, before, { runs: 10 }), ['size']);
  });

  it('tells a table that has lost its rows or is gone, though the size is as before', () => {
    const rows = (item: number | undefined, more = {}) => ({
      databases: {
        shop: { bytes: MB, rows: { ...(item === undefined ? {} : { item }), kept: 500, ...more } },
      },
    });
    const before = times(5, rows(1000));
    assert.deepEqual(verdictOf(rows(100), before).findings, [
      {
        kind: 'rows',
        message: 'shop: the table item has 100 rows, usual are 1000 rows',
        database: 'shop',
        table: 'item',
        value: 100,
        expected: 1000,
      },
    ]);
    assert.match(verdictOf(rows(undefined), before).findings[0]?.message ?? '', /the table item is gone/);
    assert.deepEqual(kindsOf(rows(900, { fresh: 5000 }), before), [], 'a new table is no loss');
    assert.deepEqual(kindsOf(rows(0), times(5, rows(9))), [], 'a few rows come and go');
    assert.deepEqual(kindsOf({ databases: { shop: MB } }, before), [], 'they were not counted');
    const many = (count: number) =>
      rows(1000, Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`t${index}`, count])));
    const { findings } = verdictOf(many(1), times(5, many(100)));
    assert.equal(findings.length, 11);
    assert.match(findings.at(-1)?.message ?? '', /^shop: the rows of 20 more tables/);
  });

  it('tells a database that is missing, but not one that failed or is new', () => {
    const both = { databases: { shop: MB, users: MB } };
    assert.deepEqual(kindsOf({ databases: { shop: MB } }, times(5, both)), ['databases']);
    assert.deepEqual(kindsOf({ databases: { shop: MB }, failed: ['users'] }, times(5, both)), []);
    const onceOnly = [backup(both), ...times(4, { databases: { shop: MB } })];
    assert.deepEqual(kindsOf({ databases: { shop: MB } }, onceOnly), []);
    const verdict = verdictOf(both, times(5, { databases: { shop: MB } }));
    assert.deepEqual([verdict.verdict, verdict.notCompared], ['fine', ['users']]);
  });

  it('tells a backup that took long, which says nothing against its content', () => {
    const { findings } = verdictOf({ seconds: 301 }, times(5));
    assert.equal(findings[0]?.message, 'the backup took 5 min 01 s, usual are 1 min 40 s');
    assert.deepEqual(aboutContent(findings), []);
    assert.deepEqual(kindsOf({ seconds: 299 }, times(5)), []);
    assert.deepEqual(kindsOf({ seconds: 0 }, times(5)), []);
    assert.deepEqual(kindsOf({ seconds: 50 }, times(5, { seconds: 1 })), [], 'less than a minute more');
  });

  it('holds to fixed limits from the first backup on', () => {
    const limits = { minMegabytes: 10, maxMegabytes: 200, maxMinutes: 2 };
    assert.deepEqual(kindsOf({ databases: { shop: 9 * MB } }, [], limits), ['minimum-size']);
    assert.deepEqual(kindsOf({ databases: { shop: 201 * MB } }, [], limits), ['maximum-size']);
    assert.deepEqual(kindsOf({ seconds: 121 }, [], limits), ['maximum-duration']);
    assert.equal(verdictOf({}, [], limits).verdict, 'unknown');
  });

  it('never gets better when rows or bytes go on being lost', () => {
    const before = times(5, { databases: { shop: { bytes: 100 * MB, rows: { item: 100 * MB } } } });
    const size = fc.integer({ min: 0, max: 100 * MB });
    fc.assert(
      fc.property(size, size, (one, other) => {
        const [less, more] = [one, other].sort((a, b) => a - b) as [number, number];
        const found = (bytes: number) =>
          verdictOf({ databases: { shop: { bytes, rows: { item: bytes } } } }, before).findings.length;
        assert.ok(found(less) >= found(more));
      }),
    );
  });

  it('finds that there was no success for too long', () => {
    const hour = 3_600_000;
    const limits = limitsOf({ maxAgeHours: 26 });
    assert.deepEqual(judgeAge(0, 26 * hour, limits), []);
    assert.match(
      judgeAge(0, 27 * hour, limits)[0]?.message ?? '',
      /^no success since 1970-01-01T00:00:00.000Z, 27 h/,
    );
    assert.equal(judgeAge(undefined, 0, limits)[0]?.message, 'there is no good backup at all');
    assert.deepEqual(judgeAge(undefined, 0, limitsOf()), []);
  });
});

describe('what is observed of a set', () => {
  it('keeps databases of the same name apart, and those that failed', () => {
    const manifest = sampleManifest();
    const [stored, failed] = manifest.artifacts;
    assert.ok(stored?.status === 'ok' && failed !== undefined);
    const counted = { ...stored, tables: [{ name: 'item', rows: 7 }] };
    const twice = observe({
      ...manifest,
      artifacts: [counted, { ...stored, raw: { ...stored.raw, bytes: 1 } }, failed],
    });
    assert.deepEqual(
      [...twice.databases.values()].map(({ name, rawBytes }) => [name, rawBytes]),
      [
        ["o'rders", 8192],
        ["o'rders", 1],
      ],
    );
    assert.equal(twice.databases.values().next().value?.tables?.get('item'), 7);
    assert.equal(twice.failed.size, 1);
  });
});

describe('the mark of a suspicious set', () => {
  const at = new Date('2026-11-23T02:00:00Z');

  it('is kept in the annotations, since it was found first, until it is taken back', () => {
    const first = withSuspicion(NO_ANNOTATIONS, 'night', 'shop has 1 B', at);
    const again = withSuspicion(first, 'night', 'shop has 2 B', new Date(at.getTime() + 1000));
    const stored = parseAnnotations(annotationsText(again), 'here');
    const found = { since: at.toISOString(), reason: 'shop has 2 B' };
    assert.deepEqual(stored.suspicious, { ...found, marks: [{ guard: 'night', ...found }] });
    const none = parseAnnotations(annotationsText(NO_ANNOTATIONS), 'here');
    assert.deepEqual(withoutSuspicion(stored, 'night'), none);
  });

  it('is taken back by the guard that has set it, and by no other', () => {
    const guard = fc.constantFrom('night', 'noon', 'weekly');
    fc.assert(
      fc.property(fc.array(fc.tuple(guard, fc.boolean()), { maxLength: 20 }), (judgements) => {
        let state: Annotations = NO_ANNOTATIONS;
        const against = new Set<string>();
        for (const [name, isUnlike] of judgements) {
          state = isUnlike ? withSuspicion(state, name, `${name} says`, at) : withoutSuspicion(state, name);
          if (isUnlike) against.add(name);
          else against.delete(name);
          state = parseAnnotations(annotationsText(state), 'here');
          assert.equal(isSuspicious(state), against.size > 0);
          assert.deepEqual(new Set(state.suspicious?.marks?.map((mark) => mark.guard)), against);
          for (const each of against) assert.ok(state.suspicious?.reason.includes(`${each} says`));
        }
      }),
    );
  });

  it('is taken back by no guard where nobody knows who has set it, but is of no effect beside normal', () => {
    const old = { since: '2026-01-01T00:00:00.000Z', reason: 'shop has 1 B' };
    const marked = parseAnnotations(annotationsText({ ...NO_ANNOTATIONS, suspicious: old }), 'here');
    assert.ok(isSuspicious(withoutSuspicion(marked, 'night')));
    const both = withSuspicion(marked, 'night', 'shop has 2 B', at);
    assert.deepEqual(both.suspicious, {
      since: old.since,
      reason: 'shop has 1 B; shop has 2 B',
      marks: [old, { guard: 'night', since: at.toISOString(), reason: 'shop has 2 B' }],
    });
    const left = withoutSuspicion(both, 'night');
    assert.deepEqual(left.suspicious, { ...old, marks: [old] });
    assert.ok(!isSuspicious({ ...left, tags: ['normal'] }));
  });

  it("is nobody's for the oldest of more guards than are told apart, and stays then", () => {
    const guards = Array.from({ length: MAX_SUSPICIONS + 3 }, (_, index) => `guard ${index}`);
    let state: Annotations = NO_ANNOTATIONS;
    for (const [index, name] of guards.entries()) {
      state = withSuspicion(state, name, `${name} says`, new Date(at.getTime() + index));
      state = parseAnnotations(annotationsText(state), 'here');
    }
    assert.deepEqual(state.suspicious?.marks?.[0], {
      since: at.toISOString(),
      reason: 'guard 0 says; guard 1 says; guard 2 says; guard 3 says',
    });
    for (const name of guards) state = withoutSuspicion(state, name);
    assert.equal(state.suspicious?.marks?.length, 1);
    assert.ok(isSuspicious(state));
  });

  it('is of no effect beside the tag normal', () => {
    const marked = withSuspicion(NO_ANNOTATIONS, 'night', 'shop has 1 B', at);
    assert.ok(isSuspicious(marked));
    assert.ok(!isSuspicious({ ...marked, tags: ['normal'] }));
    assert.ok(!isSuspicious(NO_ANNOTATIONS));
    assert.deepEqual(annotationFields({ value: marked }).suspicious, marked.suspicious);
    assert.equal(annotationCell({ value: marked }), 'SUSPICIOUS');
    assert.equal(annotationFields({ value: { ...marked, tags: ['normal'] } }).suspicious, undefined);
    assert.equal(annotationCell({ value: { ...marked, tags: ['normal'] } }), 'normal');
  });

  it('goes with copies of the set, as it is about the content', () => {
    const marked = withSuspicion(NO_ANNOTATIONS, 'night', 'shop has 1 B', at);
    const carried = carriedAnnotations(marked, { id: 'a-run', at: at.toISOString() });
    assert.deepEqual(carried.suspicious, marked.suspicious);
  });
});
