import assert from 'node:assert/strict';
import type { FlowNode } from '../../lib/plan/flow-file.ts';
import { WatchedNodes } from '../../nodes/operations/watched-nodes.ts';
import { placesBefore } from '../../nodes/places-before.ts';
import { offer, PLACE } from '../../nodes/services.ts';
import { node, TAB } from '../support/flows.ts';
import { ListedDestination } from '../support/listed-destination.ts';

/** Sources of the jobs shop and crm, destinations near and far, and whatever else the wires lead through. */
function found(flow: readonly FlowNode[], target = 'keeper'): unknown[] {
  const watched = new WatchedNodes();
  const driver = new ListedDestination();
  for (const { id, type } of flow) {
    if (type === 'source') watched.add({ id, type, role: 'source', offers: [], job: id });
    if (type !== 'destination') continue;
    const binding = () => ({ node: id, label: id, driver, prefix: id });
    watched.add({ id, type, role: 'destination', offers: [offer(PLACE, { binding })] });
  }
  return placesBefore([TAB as FlowNode, ...flow], watched, target).map(({ binding, jobs }) => [
    binding.prefix,
    jobs,
  ]);
}

const source = (id: string, ...to: string[]) => node(id, 'source', [to]) as FlowNode;
const destination = (id: string, ...to: string[]) => node(id, 'destination', [to]) as FlowNode;
const keeper = node('keeper', 'dbackup-retention', [[]]) as FlowNode;

describe('the places before a node', () => {
  it('are those of the destinations that lead to it, with the jobs that come to them', () => {
    assert.deepEqual(
      found([source('shop', 'near'), source('crm', 'near'), destination('near', 'keeper'), keeper]),
      [['near', ['shop', 'crm']]],
    );
  });

  it('are found through other nodes and links', () => {
    const flow = [
      source('shop', 'near'),
      destination('near', 'switch'),
      node('switch', 'switch', [['out']]),
      node('out', 'link out', [], { links: ['in'], mode: 'link' }),
      node('in', 'link in', [['keeper']], { links: ['out'] }),
      keeper,
    ] as FlowNode[];
    assert.deepEqual(found(flow), [['near', ['shop']]]);
  });

  it('are the last ones, where a set is copied on', () => {
    const flow = [source('shop', 'near'), destination('near', 'far'), destination('far', 'keeper'), keeper];
    assert.deepEqual(found(flow), [['far', ['shop']]]);
  });

  it('are several, where several lead to it', () => {
    const flow = [
      source('shop', 'near', 'far'),
      destination('near', 'keeper'),
      destination('far', 'keeper'),
      keeper,
    ];
    assert.deepEqual(found(flow), [
      ['near', ['shop']],
      ['far', ['shop']],
    ]);
  });

  it('are none where nothing leads to it, where it is disabled, or not deployed', () => {
    assert.deepEqual(found([source('shop', 'near'), destination('near'), keeper]), []);
    assert.deepEqual(
      found([source('shop', 'near'), { ...destination('near', 'keeper'), d: true }, keeper]),
      [],
    );
    assert.deepEqual(found([source('shop', 'near'), destination('near')], 'new'), []);
  });
});
