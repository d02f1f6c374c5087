import assert from 'node:assert/strict';
import { checkFlow } from '../../lib/plan/flow-check.ts';
import { type FlowNode, parseFlow } from '../../lib/plan/flow-file.ts';
import type { BackupNodeType, FlowCheckContext, FlowProblem } from '../../lib/plan/flow-problem.ts';

function nodeType(type: string, role: BackupNodeType['role'], extra: Partial<BackupNodeType> = {}) {
  const made: BackupNodeType = { type, role, references: () => [], check: () => [], ...extra };
  return [type, made] as const;
}

const TYPES = new Map([
  nodeType('src', 'source', {
    check: ({ values }) => (values.file ? [] : [{ field: 'file', message: 'is missing' }]),
  }),
  nodeType('zip', 'transform', { step: 'compress' }),
  nodeType('enc', 'transform', {
    step: 'encrypt',
    references: () => [{ field: 'key', types: ['key'], required: true }],
    check: ({ values }) => (values.key ? [] : [{ field: 'key', message: 'is missing' }]),
  }),
  nodeType('dst', 'destination', {
    check: ({ values }) =>
      Number(values.rate ?? 1) > 0 ? [] : [{ field: 'rate', message: 'must be more than 0' }],
  }),
  nodeType('key', 'other', {
    check: ({ credentials }) => (credentials.secret ? [] : [{ field: 'secret', message: 'is missing' }]),
  }),
]);

const CORE = [
  'inject',
  'debug',
  'function',
  'link in',
  'link out',
  'link call',
  'catch',
  'junction',
  'delay',
];

const CONTEXT: FlowCheckContext = {
  backupTypes: TYPES,
  isKnownType: (type) => [...CORE, 'tab', 'group', 'subflow', 'global-config'].includes(type),
  environment: { SET: '/srv/shop.db', RATE: '0' },
  credentialsOf: (node) => (node.id === 'k' ? { secret: 'x' } : {}),
};

/** `${NAME}`, as a flow's settings write it. */
const variable = (name: string) => `\${${name}}`;

const TAB = { id: 't', type: 'tab' };

function node(id: string, type: string, to: string[] = [], extra: Record<string, unknown> = {}) {
  return { id, type, z: 't', x: 1, y: 1, wires: [to], ...extra };
}

function source(id: string, to: string[], extra: Record<string, unknown> = {}) {
  return node(id, 'src', to, { file: '/srv/a.db', ...extra });
}

function check(nodes: readonly object[], context: Partial<FlowCheckContext> = {}): FlowProblem[] {
  const flow: FlowNode[] = parseFlow(JSON.stringify([TAB, ...nodes]), 'flow.json');
  return checkFlow(flow, { ...CONTEXT, ...context });
}

function codes(problems: readonly FlowProblem[]): string[] {
  return problems.map(({ code, node: id }) => (id === undefined ? code : `${code} ${id}`)).sort();
}

describe('flow check', () => {
  it('finds nothing wrong with a sound flow', () => {
    const problems = check([
      node('i', 'inject', ['s']),
      source('s', ['z']),
      node('z', 'zip', ['e']),
      node('e', 'enc', ['a', 'b'], { key: 'k' }),
      node('a', 'dst', ['log']),
      node('b', 'dst', ['log']),
      node('log', 'debug'),
      { id: 'k', type: 'key' },
    ]);
    assert.deepEqual(problems, []);
  });

  it('lists every problem at once, errors first', () => {
    const problems = check([
      node('s', 'src', ['e', 'nowhere']),
      node('e', 'enc', ['z']),
      node('z', 'zip', ['d']),
      node('d', 'dst', [], { rate: variable('NOT_SET') }),
      node('lost', 'dst'),
      node('what', 'thing-of-another-module'),
    ]);
    assert.deepEqual(codes(problems), [
      'compress-after-encrypt z',
      'dangling-wire s',
      'invalid-field s',
      'missing-config e',
      'unknown-type what',
      'unreached-destination lost',
      'unresolved-variable d',
    ]);
    const severities = problems.map((problem) => problem.severity);
    assert.deepEqual(severities, [...Array(5).fill('error'), 'warning', 'warning']);
  });

  it('names the node, the field and what to do', () => {
    const [problem] = check([source('s', ['d'], { name: 'Shop', file: '' }), node('d', 'dst')]);
    assert.equal(problem?.message, '"Shop" (src s), file: is missing');
    assert.equal(problem?.field, 'file');
  });

  describe('variables', () => {
    const withFile = (file: string, others: object[] = [], extra: Record<string, unknown> = {}) =>
      check([source('s', ['d'], { file, ...extra }), node('d', 'dst'), ...others]);

    it('are looked up in the process', () => {
      assert.deepEqual(withFile(variable('SET')), []);
      assert.deepEqual(withFile('$(SET)'), []);
      assert.match(withFile(variable('UNSET'))[0]?.message ?? '', /environment variable UNSET is not set/);
    });

    it('give the value that the field is then checked with', () => {
      const problems = check([source('s', ['d']), node('d', 'dst', [], { rate: variable('RATE') })]);
      assert.deepEqual(codes(problems), ['invalid-field d']);
    });

    it('are found in groups, tabs and global config nodes', () => {
      const env = [{ name: 'OWN', value: '/x', type: 'str' }];
      assert.deepEqual(withFile(variable('OWN'), [{ id: 'g', type: 'group', z: 't', env }], { g: 'g' }), []);
      assert.deepEqual(withFile(variable('OWN'), [{ id: 'c', type: 'global-config', env }]), []);
      assert.deepEqual(codes(withFile(variable('OWN'), [{ id: 'g', type: 'group', z: 't', env }])), [
        'unresolved-variable s',
      ]);
      const indirect = [{ name: 'OWN', value: 'SET', type: 'env' }];
      assert.deepEqual(withFile(variable('OWN'), [{ id: 'c', type: 'global-config', env: indirect }]), []);
    });

    it('do not fail the check of a field that only the running flow knows', () => {
      const env = [{ name: 'LATER', value: '$now()', type: 'jsonata' }];
      const context = { environment: {} };
      const flow = [
        { id: 'c', type: 'global-config', env },
        source('s', ['d']),
        node('d', 'dst', [], { rate: variable('LATER') }),
      ];
      assert.deepEqual(check(flow, context), []);
    });

    it('inside a longer text are refused, as Node-RED leaves them', () => {
      assert.match(
        withFile(`/srv/${variable('SET')}`)[0]?.message ?? '',
        /put the whole value into one variable/,
      );
    });
  });

  describe('references', () => {
    const withKey = (key: unknown, others: object[] = [{ id: 'k', type: 'key' }]) =>
      check([source('s', ['e']), node('e', 'enc', ['d'], { key }), node('d', 'dst'), ...others]);

    it('must be there and of the right type', () => {
      assert.deepEqual(withKey('k'), []);
      assert.match(withKey('')[0]?.message ?? '', /none is chosen/);
      assert.match(withKey('gone')[0]?.message ?? '', /the key node gone is not in the flow/);
      assert.match(withKey('d')[0]?.message ?? '', /dst d is no key/);
      assert.match(withKey('k', [{ id: 'k', type: 'key', d: true }])[0]?.message ?? '', /is disabled/);
    });

    it('report each cause once', () => {
      assert.equal(withKey('').length, 1);
    });
  });

  it('reports missing credentials', () => {
    const problems = check([source('s', ['d']), node('d', 'dst'), { id: 'other', type: 'key' }]);
    assert.deepEqual(codes(problems), ['invalid-field other']);
  });

  describe('wiring', () => {
    it('follows links, link calls, junctions and catch nodes', () => {
      assert.deepEqual(
        check([
          source('s', ['out']),
          node('out', 'link out', [], { links: ['in'], mode: 'link' }),
          node('in', 'link in', ['j'], { links: ['out'] }),
          node('j', 'junction', ['d']),
          node('d', 'dst'),
        ]),
        [],
      );
      assert.deepEqual(
        check([
          source('s', ['call']),
          node('call', 'link call', ['d'], { links: ['in'] }),
          node('in', 'link in', ['z']),
          node('z', 'zip', ['ret']),
          node('ret', 'link out', [], { mode: 'return' }),
          node('d', 'dst'),
          node('c', 'catch', ['spare'], { scope: ['d'] }),
          node('spare', 'dst'),
        ]),
        [],
      );
    });

    it('follows a message into a subflow and out again', () => {
      const flow = (out: object[]) => [
        { id: 'sf', type: 'subflow', in: [{ wires: [{ id: 'z' }] }], out },
        node('z', 'zip', [], { z: 'sf' }),
        source('s', ['use']),
        node('use', 'subflow:sf', ['d']),
        node('d', 'dst'),
      ];
      assert.deepEqual(check(flow([{ wires: [{ id: 'z', port: 0 }] }])), []);
      assert.deepEqual(codes(check(flow([]))), ['source-without-destination s', 'unreached-destination d']);
    });

    it('reports a subflow that is missing', () => {
      const problems = check([source('s', ['use', 'd']), node('use', 'subflow:gone'), node('d', 'dst')]);
      assert.deepEqual(codes(problems), ['unknown-type use']);
    });

    it('ignores what is disabled', () => {
      assert.deepEqual(
        check([
          source('s', ['d', 'off']),
          node('d', 'dst'),
          node('off', 'nonsense', [], { d: true }),
          { id: 'u', type: 'tab', disabled: true },
          node('unused', 'dst', [], { z: 'u' }),
        ]),
        [],
      );
      const codesOff = codes(check([source('s', ['d']), node('d', 'dst', [], { d: true })]));
      assert.deepEqual(codesOff, ['source-without-destination s']);
    });

    it('reports loops, but not one in which a node may begin anew', () => {
      const loop = (through: string) =>
        codes(
          check([
            source('s', ['z']),
            node('z', 'zip', ['x', 'd']),
            node('x', through, ['z']),
            node('d', 'dst'),
          ]),
        );
      assert.deepEqual(loop('delay'), ['loop z']);
      assert.deepEqual(loop('function'), []);
    });

    it('reports steps after a destination and allows another destination there', () => {
      assert.deepEqual(
        codes(
          check([source('s', ['a']), node('a', 'dst', ['z']), node('z', 'zip', ['b']), node('b', 'dst')]),
        ),
        ['after-destination z'],
      );
      assert.deepEqual(check([source('s', ['a']), node('a', 'dst', ['b']), node('b', 'dst')]), []);
    });

    it('lets a stored set start the next backup, also in a circle', () => {
      assert.deepEqual(
        check([
          source('s', ['z']),
          node('z', 'zip', ['a']),
          node('a', 'dst', ['wait']),
          node('wait', 'delay', ['s', 'other']),
          source('other', ['z2']),
          node('z2', 'zip', ['b']),
          node('b', 'dst'),
        ]),
        [],
      );
      const circle = [source('s', ['a']), node('a', 'dst', ['b']), node('b', 'dst', ['a'])];
      assert.deepEqual(codes(check(circle)), ['loop a', 'loop b']);
    });

    it('warns of a flow without a source and of a transform that nothing reaches', () => {
      const problems = check([node('z', 'zip')]);
      assert.deepEqual(codes(problems), ['no-source', 'unreached-transform z']);
      assert.ok(problems.every((problem) => problem.severity === 'warning'));
    });

    it('warns of two compressions in the order that matters only', () => {
      const chain = (...types: string[]) =>
        codes(
          check([
            source('s', ['n0']),
            ...types.map((type, index) => node(`n${index}`, type, [`n${index + 1}`], { key: 'k' })),
            node(`n${types.length}`, 'dst'),
            { id: 'k', type: 'key' },
          ]),
        );
      assert.deepEqual(chain('zip', 'enc'), []);
      assert.deepEqual(chain('enc', 'zip'), ['compress-after-encrypt n1']);
    });
  });

  it('reports ids that are used twice', () => {
    const flow = [source('s', ['d']), node('d', 'dst'), node('log', 'debug'), node('log', 'debug')];
    assert.deepEqual(codes(check(flow)), ['duplicate-id log']);
  });
});

describe('flow file', () => {
  it('reads an export and the form of the admin API', () => {
    assert.equal(parseFlow('[{"id":"a","type":"tab"}]', 'f').length, 1);
    assert.equal(parseFlow('{"flows":[{"id":"a","type":"tab"}],"rev":"1"}', 'f').length, 1);
  });

  it('keeps what it does not know', () => {
    assert.deepEqual(parseFlow('[{"id":"a","type":"b","own":{"x":[1]}}]', 'f')[0]?.own, { x: [1] });
  });

  for (const [what, text, message] of [
    ['no JSON', '[{]', /f\.json is not JSON/],
    ['another file', '{"a":1}', /is not a Node-RED flow/],
    ['a credentials file', '{"$":"abc"}', /is not a Node-RED flow/],
    ['nothing', '[]', /is an empty flow/],
    ['an entry without a type', '[{"id":"a"}]', /Entry 1 of f\.json is not a node/],
    ['an entry that is no object', '[{"id":"a","type":"b"},null]', /Entry 2 of f\.json/],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(() => parseFlow(text, 'f.json'), {
        name: 'BackupError',
        code: 'invalid-config',
        message,
      });
    });
  }
});
