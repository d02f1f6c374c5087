import assert from 'node:assert/strict';
import fc from 'fast-check';
import { BackupError } from '../../lib/errors.ts';
import { checkFlow } from '../../lib/plan/flow-check.ts';
import { type FlowNode, parseFlow } from '../../lib/plan/flow-file.ts';
import { flowTriggers } from '../../lib/plan/flow-triggers.ts';
import { backupNodeTypes } from '../../nodes/schemas.ts';

const CORE = ['tab', 'subflow', 'group', 'inject', 'link in', 'link out', 'link call', 'catch', 'function'];
const TYPES = [...backupNodeTypes.keys(), ...CORE, 'subflow:a', 'unheard-of'];
/** JSON of any kind, and objects that cannot be made a text or a number. */
const anything = fc.oneof(
  { weight: 4, arbitrary: fc.jsonValue() },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      { toString: '' },
      { valueOf: 1, toString: null },
      [{ toString: '' }],
      [[null]],
    ),
  },
);
const id = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');

/** A node that may be anything: of a type that exists, wired to anything, with settings of any kind. */
const node = fc.tuple(
  fc.record({ id, type: fc.constantFrom(...TYPES) }),
  fc.record(
    {
      z: id,
      g: id,
      wires: fc.oneof(fc.array(fc.array(id)), anything),
      links: fc.oneof(fc.array(id), anything),
      env: fc.oneof(fc.array(fc.record({ name: fc.constantFrom('X', 'Y'), value: anything })), anything),
      in: anything,
      out: anything,
      scope: anything,
      files: anything,
      key: fc.oneof(id, anything),
      storage: fc.oneof(id, anything),
      folder: anything,
      kind: anything,
      level: anything,
      schemaVersion: anything,
      name: anything,
    },
    { requiredKeys: [] },
  ),
);

describe('flow check with any input', () => {
  it('answers with problems and never throws', () => {
    fc.assert(
      fc.property(fc.array(node, { minLength: 1, maxLength: 12 }), (parts) => {
        const nodes: FlowNode[] = parseFlow(JSON.stringify(parts.map(([a, b]) => ({ ...b, ...a }))), 'f');
        const problems = checkFlow(nodes, {
          backupTypes: backupNodeTypes,
          isKnownType: (type) => CORE.includes(type),
          environment: { X: 'x' },
          credentialsOf: () => ({}),
        });
        for (const { message, severity } of problems) {
          assert.ok(message.length > 0);
          assert.ok(severity === 'error' || severity === 'warning');
        }
        flowTriggers(nodes, backupNodeTypes);
      }),
      { numRuns: 300 },
    );
  });

  it('reads any text as a flow or says what is wrong with it', () => {
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      fc.array(fc.jsonValue()).map((value) => JSON.stringify(value)),
    );
    fc.assert(
      fc.property(text, (input) => {
        try {
          parseFlow(input, 'f');
        } catch (error) {
          assert.ok(error instanceof BackupError && error.code === 'invalid-config', String(error));
        }
      }),
    );
  });

  it('is not upset by settings that are nested deeply', () => {
    const deep = `${'['.repeat(5000)}${']'.repeat(5000)}`;
    const nodes = parseFlow(`[{"id":"a","type":"function","setting":${deep}}]`, 'f');
    const problems = checkFlow(nodes, {
      backupTypes: backupNodeTypes,
      isKnownType: () => true,
      environment: {},
      credentialsOf: () => ({}),
    });
    assert.deepEqual(
      problems.map(({ code }) => code),
      ['no-source'],
    );
  });
});
