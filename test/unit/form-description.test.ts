import assert from 'node:assert/strict';
import { z } from 'zod';
import { describeForm } from '../../nodes/forms/describe-form.ts';
import { type RawSettings, readSettings, settingsError } from '../../nodes/forms/settings.ts';

const schema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('file').meta({ icon: 'fa-file' }),
    path: z.string().min(1).meta({ control: 'path', placeholder: '/data' }),
    level: z.number().int().min(1).max(9).default(6),
    common: z.boolean().default(true),
  }),
  z.object({
    kind: z.literal('server'),
    level: z.number().int().min(0).max(11).default(4),
    password: z.string().min(3).meta({ secret: true }),
    server: z
      .string()
      .min(1)
      .optional()
      .meta({ configTypes: ['dbackup-server'] }),
    common: z.boolean().default(true).meta({ section: 'advanced' }),
  }),
]);
const spec = { schema, schemaVersion: 1 };

describe('form of a schema', () => {
  const form = describeForm(schema);
  const field = (name: string) => {
    const found = form.fields.find((candidate) => candidate.name === name);
    assert.ok(found !== undefined, name);
    return found;
  };

  it('offers a box to tick for each value of an array, where that is wanted', () => {
    const days = z
      .array(z.enum(['mon', 'tue', 'wed']))
      .min(1)
      .default(['mon', 'wed']);
    const both = describeForm(z.object({ typed: days, ticked: days.meta({ control: 'choices' }) }));
    const [typed, ticked] = both.fields;
    assert.deepEqual([typed?.control, typed?.options], ['list', []]);
    assert.deepEqual([ticked?.control, ticked?.options], ['choices', ['mon', 'tue', 'wed']]);
    assert.deepEqual(ticked?.initial, ['mon', 'wed']);
    assert.equal(ticked?.cases[0]?.rule.minItems, 1);
  });

  it('makes one choice of the field that tells variants apart', () => {
    assert.equal(form.discriminator, 'kind');
    const { control, options, initial, icon } = field('kind');
    assert.deepEqual(
      { control, options, initial, icon },
      {
        control: 'select',
        options: ['file', 'server'],
        initial: 'file',
        icon: 'fa-file',
      },
    );
  });

  it('puts a field that only some variants have where they have it', () => {
    const names = form.fields.map(({ name }) => name);
    assert.deepEqual(names, ['kind', 'path', 'level', 'password', 'server', 'common']);
  });

  it('keeps the rules of each variant of a field apart', () => {
    const ranges = field('level').cases.map(({ when, rule }) => [
      when,
      rule.minimum,
      rule.maximum,
      rule.default,
    ]);
    assert.deepEqual(ranges, [
      ['file', 1, 9, 6],
      ['server', 0, 11, 4],
    ]);
    assert.equal(field('level').initial, '', 'defaults that differ are left to the variants');
    assert.equal(field('common').initial, true);
  });

  it('derives controls from types and marks', () => {
    const controls = form.fields.map(({ name, control }) => [name, control]);
    assert.deepEqual(Object.fromEntries(controls), {
      kind: 'select',
      path: 'path',
      level: 'number',
      common: 'checkbox',
      password: 'password',
      server: 'config',
    });
    assert.equal(field('password').secret, true);
    assert.deepEqual(field('server').configTypes, ['dbackup-server']);
    assert.equal(field('server').cases[0]?.rule.required, false);
  });

  it('does not tell people JavaScript’s largest integer as a limit', () => {
    const [count] = describeForm(z.object({ count: z.number().int() })).fields;
    assert.equal(count?.cases[0]?.rule.maximum, undefined);
  });

  it('gives each variant the example that it has, and the values that are warned of', () => {
    const port = z.number().optional();
    const { fields } = describeForm(
      z.discriminatedUnion('tls', [
        z.object({
          tls: z.literal('on').meta({ cautions: ['off'] }),
          port: port.meta({ placeholder: '990' }),
        }),
        z.object({ tls: z.literal('off'), port: port.meta({ placeholder: '21' }) }),
      ]),
    );
    const [tls, ports] = fields;
    assert.deepEqual(tls?.cautions, ['off']);
    assert.equal(ports?.placeholder, '990');
    assert.deepEqual(
      ports?.cases.map(({ when, placeholder }) => [when, placeholder]),
      [
        ['on', undefined],
        ['off', '21'],
      ],
    );
  });

  it('refuses a schema that no form can show', () => {
    assert.throws(() => describeForm(z.object({ odd: z.object({}) })), /odd has a type/);
  });
});

describe('settings of a node', () => {
  it('are read with the rules of the chosen variant, and the others are ignored', () => {
    const read = readSettings(spec, { kind: 'file', path: ' /data ', level: '', password: 7, x: 100 });
    assert.deepEqual(read, { settings: { kind: 'file', path: '/data', level: 6, common: true } });
  });

  it('name every problem at once', () => {
    const read = readSettings(spec, { kind: 'server', level: '12', password: 'ab', common: 'perhaps' });
    assert.ok('problems' in read);
    assert.deepEqual(read.problems, [
      { field: 'level', message: 'must be at most 11' },
      { field: 'password', message: 'must have at least 3 characters' },
      { field: 'common', message: 'must be true or false' },
    ]);
  });

  it('name an unknown variant', () => {
    const read = readSettings(spec, { kind: 'tape' });
    assert.deepEqual(read, { problems: [{ field: 'kind', message: 'must be one of file, server' }] });
  });

  it('report what only the schema itself can find', () => {
    const odd = z.object({ even: z.number().refine((value) => value % 2 === 0, 'must be even') });
    const read = readSettings({ schema: odd, schemaVersion: 1 }, { even: '3' });
    assert.deepEqual(read, { problems: [{ field: 'even', message: 'must be even' }] });
  });

  it('report settings that do not go together, without the name of a field', () => {
    const pair = z
      .object({ user: z.string().optional(), password: z.string().optional() })
      .refine(({ user, password }) => (user === undefined) === (password === undefined), 'it takes both');
    const read = readSettings({ schema: pair, schemaVersion: 1 }, { user: 'me' });
    assert.deepEqual(read, { problems: [{ field: '', message: 'it takes both' }] });
    assert.ok('problems' in read);
    assert.equal(settingsError('A node', read.problems).message, 'A node is not set up: it takes both');
  });

  it('may be empty where another one says so', () => {
    const trust = z.object({
      keys: z.array(z.string()).default([]).meta({ requiredUnless: 'any' }),
      any: z.boolean().default(false),
    });
    const read = (raw: RawSettings) => readSettings({ schema: trust, schemaVersion: 1 }, raw);
    const missing = { problems: [{ field: 'keys', message: 'is missing' }] };
    assert.deepEqual(read({}), missing);
    assert.deepEqual(read({ keys: [''], any: false }), missing);
    assert.deepEqual(read({ keys: ['a'] }), { settings: { keys: ['a'], any: false } });
    assert.deepEqual(read({ keys: [], any: 'true' }), { settings: { keys: [], any: true } });
  });

  it('leave the blanks of a secret alone', () => {
    const read = readSettings(spec, { kind: 'server', level: '', password: ' abc ' });
    assert.ok('settings' in read && read.settings.kind === 'server');
    assert.equal(read.settings.password, ' abc ');
  });
});
