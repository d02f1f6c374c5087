import assert from 'node:assert/strict';
import { checkFlow } from '../../lib/plan/flow-check.ts';
import { parseFlow } from '../../lib/plan/flow-file.ts';
import { backupNodeTypes } from '../../nodes/schemas.ts';

const TAB = { id: 'tab', type: 'tab' };

function source(id: string, wires: readonly string[], settings: object) {
  return { id, type: 'dbackup-sqlite', z: 'tab', job: 'shop', files: ['/a.db'], ...settings, wires: [wires] };
}

function disk(id: string, wires: readonly string[] = [], z = 'tab') {
  return { id, type: 'dbackup-local', z, storage: 'storage', folder: id, wires: [wires] };
}

/** `${NAME}`, as a flow's settings write it. */
const variable = (name: string) => `\${${name}}`;
const copies = (count: number | string) => ({ needs: 'copies', copies: count });

function problems(nodes: readonly object[], environment: Record<string, string> = {}): string[] {
  const storage = { id: 'storage', type: 'dbackup-local-storage', root: '/backups' };
  const flow = parseFlow(JSON.stringify([TAB, storage, ...nodes]), 'flow.json');
  return checkFlow(flow, {
    backupTypes: backupNodeTypes,
    isKnownType: () => true,
    environment,
    credentialsOf: () => ({}),
  }).map(({ code, node, message }) => `${code} ${node}: ${message}`);
}

describe('flow check: verified copies', () => {
  it('finds a run that needs more of them than it has destinations', () => {
    const flow = (count: number) => [source('s', ['a', 'b'], copies(count)), disk('a'), disk('b')];
    assert.deepEqual(problems(flow(2)), []);
    const [problem, ...others] = problems(flow(3));
    assert.match(
      problem ?? '',
      /^too-few-destinations s: .*needs 3 verified copies, and only 2 destinations/,
    );
    assert.deepEqual(others, []);
  });

  it('says nothing where they are not needed', () => {
    for (const needs of ['all', 'any'])
      assert.deepEqual(problems([source('s', ['a'], { needs, copies: 9 }), disk('a')]), []);
  });

  it('does not count what a destination copies to others', () => {
    const flow = [source('s', ['a'], copies(2)), disk('a', ['b']), disk('b')];
    assert.match(problems(flow)[0] ?? '', /only 1 destination can be reached/);
  });

  it('leaves it to the source that opens the run', () => {
    const flow = [source('s', ['t'], copies(1)), source('t', ['a'], copies(5)), disk('a')];
    assert.deepEqual(problems(flow), []);
  });

  it('takes the number from a variable', () => {
    const flow = [source('s', ['a'], copies(variable('COPIES'))), disk('a')];
    assert.deepEqual(problems(flow, { COPIES: '1' }), []);
    assert.match(problems(flow, { COPIES: '2' })[0] ?? '', /needs 2 verified copies/);
  });

  it('does not count the nodes of a subflow, which stand for as many as it is used', () => {
    const flow = [
      { id: 'sub', type: 'subflow', in: [{ wires: [{ id: 'a' }] }], out: [] },
      disk('a', [], 'sub'),
      { id: 'u1', type: 'subflow:sub', z: 'tab', wires: [] },
      { id: 'u2', type: 'subflow:sub', z: 'tab', wires: [] },
      source('s', ['u1', 'u2'], copies(2)),
    ];
    assert.deepEqual(problems(flow), []);
  });
});
