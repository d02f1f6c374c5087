import assert from 'node:assert/strict';
import { describeEntry, expectedNodes } from '../../runner/expected-nodes.ts';

const tab = (id: string, properties = {}) => ({ id, type: 'tab', ...properties });
const subflow = (id: string) => ({ id, type: 'subflow' });
const node = (id: string, z?: string, properties = {}) => ({
  id,
  type: 'inject',
  ...(z === undefined ? {} : { z }),
  ...properties,
});
const instance = (id: string, of: string, z: string) => ({ id, type: `subflow:${of}`, z });
const idsOf = (flows: Parameters<typeof expectedNodes>[0]) => expectedNodes(flows).map(({ id }) => id);

describe('The nodes of a flow that have to run', () => {
  it('are those of its tabs and its global config nodes, groups left out', () => {
    const flows = [
      tab('t'),
      node('a', 't'),
      node('global'),
      node('empty', ''),
      { id: 'g', type: 'group', z: 't' },
    ];
    assert.deepEqual(idsOf(flows), ['a', 'global', 'empty']);
  });

  it('are not those that are disabled, or lie on a disabled tab', () => {
    const flows = [
      tab('on'),
      tab('off', { disabled: true }),
      node('a', 'on'),
      node('b', 'on', { d: true }),
      node('c', 'off'),
    ];
    assert.deepEqual(idsOf(flows), ['a']);
  });

  it('are those of a subflow once for each instance, also nested', () => {
    const flows = [
      tab('t'),
      subflow('inner'),
      node('n', 'inner'),
      subflow('outer'),
      instance('i', 'inner', 'outer'),
      instance('one', 'inner', 't'),
      instance('two', 'outer', 't'),
    ];
    assert.deepEqual(idsOf(flows), ['one', 'one-n', 'two', 'two-i', 'two-i-n']);
  });

  it('cannot be told when a subflow contains itself', () => {
    const flows = [
      tab('t'),
      subflow('a'),
      subflow('b'),
      instance('ab', 'b', 'a'),
      instance('ba', 'a', 'b'),
      instance('start', 'a', 't'),
    ];
    assert.throws(() => expectedNodes(flows), {
      code: 'invalid-config',
      message: /Subflow a contains itself/,
    });
  });

  it('are described by their name where they have one', () => {
    assert.equal(describeEntry({ id: 'x', type: 'inject', name: 'Nightly' }), '"Nightly" (inject, x)');
    assert.equal(describeEntry({ id: 'x', type: 'inject', name: '' }), 'inject x');
  });
});
