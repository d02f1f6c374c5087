import assert from 'node:assert/strict';
import fc from 'fast-check';
import { z } from 'zod';
import { describeForm } from '../../nodes/forms/describe-form.ts';
import { substituteVariables } from '../../nodes/forms/environment.ts';
import { problemText } from '../../nodes/forms/problem-text.ts';
import { checkValue, normalise, type Rule } from '../../nodes/forms/rules.ts';

/** The rule that the editor checks for a field with this schema. */
function ruleOf(field: z.ZodType): Rule {
  const rule = describeForm(z.object({ field })).fields[0]?.cases[0]?.rule;
  assert.ok(rule !== undefined);
  return rule;
}

const VARIABLE = '${' + 'NAME}';

describe('rules of form fields', () => {
  const schemas: readonly (readonly [string, z.ZodType])[] = [
    ['required text', z.string().min(1)],
    ['bounded text', z.string().min(2).max(5)],
    ['optional text', z.string().min(1).optional()],
    ['pattern', z.string().regex(/^[a-z]+$/)],
    ['text with a default', z.string().default('x')],
    ['choice', z.enum(['a', 'b'])],
    ['whole number', z.number().int().min(-3).max(12)],
    ['positive number', z.number().positive().optional()],
    ['number with a default', z.number().min(0).default(4)],
    ['truth value', z.boolean()],
    ['list', z.array(z.string().min(2)).min(1).max(3)],
    ['optional list', z.array(z.string()).optional()],
  ];
  const texts = fc.oneof(
    fc.string({ maxLength: 7 }),
    fc.constantFrom(
      '',
      ' ',
      'a',
      'ab',
      'b',
      'true',
      'false',
      '0',
      '-3',
      '12',
      '13',
      '1.5',
      '1e1',
      '.5',
      '5.',
      '+4',
      '0x10',
      'NaN',
      'Infinity',
    ),
  );
  const raws = fc.oneof(
    texts,
    fc.integer({ min: -20, max: 20 }),
    fc.double({ min: -20, max: 20, noNaN: false }),
    fc.boolean(),
    fc.constantFrom(null, undefined),
    fc.array(texts, { maxLength: 5 }),
  );

  for (const [name, schema] of schemas) {
    it(`agree with the schema itself: ${name}`, () => {
      const rule = ruleOf(schema);
      fc.assert(
        fc.property(raws, (raw) => {
          const problem = checkValue(rule, raw, 'refused');
          // A text that holds a variable is refused by the rules alone.
          fc.pre(problem?.code !== 'unresolved');
          const verdict = schema.safeParse(normalise(rule, raw));
          assert.equal(problem === undefined, verdict.success, JSON.stringify({ raw, problem }));
        }),
        { numRuns: 400 },
      );
    });
  }

  it('take numbers and truth values as texts, as editors and the environment give them', () => {
    assert.equal(normalise(ruleOf(z.number()), ' 12.5 '), 12.5);
    assert.equal(normalise(ruleOf(z.boolean()), 'true'), true);
    assert.equal(normalise(ruleOf(z.number().optional()), ''), undefined);
    assert.deepEqual(normalise(ruleOf(z.array(z.string())), ['a ', '', ' b']), ['a', 'b']);
    assert.deepEqual(normalise(ruleOf(z.array(z.string())), 'one'), ['one'], 'a list in one variable');
  });

  it('take a variable in the editor and refuse it in a running flow, where it was not replaced', () => {
    for (const schema of [z.number().min(3), z.enum(['a']), z.boolean(), z.string().min(50)]) {
      const rule = ruleOf(schema);
      assert.equal(checkValue(rule, VARIABLE, 'allowed'), undefined);
      assert.deepEqual(checkValue(rule, VARIABLE, 'refused'), { code: 'unresolved', limit: 'NAME' });
    }
    const list = ruleOf(z.array(z.string().max(3)));
    assert.equal(checkValue(list, ['abc', VARIABLE], 'allowed'), undefined);
    assert.deepEqual(checkValue(list, ['abc', VARIABLE], 'refused'), {
      code: 'unresolved',
      limit: 'NAME',
      entry: 2,
    });
  });

  it('refuse a variable within a longer text, which Node-RED does not replace', () => {
    const problem = { code: 'unresolved', limit: 'NAME' };
    assert.deepEqual(checkValue(ruleOf(z.string()), `${VARIABLE}/x`, 'allowed'), problem);
  });

  it('have a sentence for every problem', () => {
    const required = checkValue(ruleOf(z.string()), '', 'refused');
    assert.ok(required !== undefined);
    assert.equal(problemText(required), 'is missing');
    assert.equal(problemText({ code: 'min', limit: 3, entry: 2 }), 'entry 2 must be at least 3');
    assert.match(problemText({ code: 'unresolved', limit: 'DIR' }), /set the environment variable DIR/);
  });
});

describe('variables in settings', () => {
  it('are replaced where they are the whole value, lists included, as Node-RED does', () => {
    const lookup = (name: string) => ({ A: 'one', B: 2 })[name];
    const raw = { a: '${' + 'A}', b: ['x', '$(B)'], c: 'x${' + 'A}', d: '${' + 'C}', e: 5 };
    assert.deepEqual(substituteVariables(raw, lookup), {
      a: 'one',
      b: ['x', 2],
      c: 'x${' + 'A}',
      d: '${' + 'C}',
      e: 5,
    });
  });
});
