import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { NodeStatus } from 'node-red';
import { BackupError } from '../../lib/errors.ts';
import type { EngineEvents, RunProgress, RunResult } from '../../lib/runs/outcome.ts';
import { formatBytes, formatTime } from '../../nodes/status/quantities.ts';
import { StatusBoard } from '../../nodes/status/status-board.ts';
import { sampleManifest } from '../support/sample-manifest.ts';
import { until } from '../support/until.ts';

const text = (key: string, values: object = {}) => [key, ...Object.values(values)].join(' ');

const PROGRESS: RunProgress = {
  runId: 'r',
  job: 'shop',
  stage: 'dumping',
  database: 'orders',
  index: 1,
  count: 1,
  nodes: ['source', 'zstd', 'disk'],
  rawBytes: 120e6,
  expectedBytes: 285e6,
  rate: 85e6,
  storedBytes: { disk: 34e6 },
};

const RESULT: RunResult = {
  runId: 'r',
  job: 'shop',
  state: 'succeeded',
  openedAt: new Date(2026, 0, 31, 12, 29),
  finishedAt: new Date(2026, 0, 31, 12, 30),
  rawBytes: 285e6,
  artifacts: [{ node: 'source', database: 'orders' }],
  destinations: [{ node: 'disk', label: 'disk', error: new BackupError('no-space', 'The disk is full') }],
};

describe('sizes and times beside nodes', () => {
  it('have few digits', () => {
    const sizes = [0, 999, 1000, 9_949, 9_951, 34_000_000, 999_400_000, 999_600_000, 1.24e12];
    assert.deepEqual(sizes.map(formatBytes), [
      '0 B',
      '999 B',
      '1.0 kB',
      '9.9 kB',
      '10 kB',
      '34 MB',
      '999 MB',
      '1.0 GB',
      '1.2 TB',
    ]);
    assert.equal(formatTime(new Date(2026, 0, 1, 3, 5)), '03:05');
  });
});

describe('status board', () => {
  let events: EventEmitter<EngineEvents>;
  let sent: { node: string; status: NodeStatus; at: number }[];
  let board: StatusBoard;
  const textsOf = (node: string) =>
    sent.filter((entry) => entry.node === node).map(({ status }) => status.text);

  beforeEach(() => {
    events = new EventEmitter();
    sent = [];
    board = new StatusBoard(
      events,
      (node, status) => sent.push({ node, status, at: performance.now() }),
      text,
    );
    board.enlist('source', 'source');
    board.enlist('zstd', 'transform');
    board.enlist('disk', 'destination');
  });

  afterEach(() => board.close());

  it('shows each node its part of the run', () => {
    events.emit('progress', PROGRESS);
    assert.deepEqual(textsOf('source'), ['▶ 42 % · 120 MB · 85 MB/s']);
    assert.deepEqual(textsOf('zstd'), ['']);
    assert.deepEqual(textsOf('disk'), ['▶ 34 MB']);
  });

  it('shows at every node where a waiting run stands, then that it has begun', async () => {
    const run = { runId: 'r', job: 'shop', nodes: PROGRESS.nodes };
    events.emit('state', { ...run, state: 'queued' });
    assert.deepEqual(sent, [], 'one that has not to wait shows nothing');
    events.emit('queued', { ...run, position: 2, count: 3, server: undefined });
    events.emit('queued', { ...run, position: 1, count: 2, server: undefined });
    for (const node of run.nodes) {
      await until(() => textsOf(node).at(-1) === 'status.queued 1 2');
      assert.deepEqual(textsOf(node), ['status.queued 2 3', 'status.queued 1 2']);
    }
    events.emit('state', { ...run, state: 'running' });
    for (const node of run.nodes) await until(() => textsOf(node).at(-1) === '');
  });

  it('shows at every node that a waiting run was cancelled', () => {
    const run = { runId: 'r', job: 'shop', nodes: PROGRESS.nodes };
    events.emit('state', { ...run, state: 'queued' });
    events.emit('queued', { ...run, position: 1, count: 1, server: undefined });
    const error = new BackupError('aborted', 'Run r was cancelled');
    const destinations = [{ node: 'disk', label: 'disk', error }];
    events.emit('finished', { ...RESULT, state: 'cancelled', artifacts: [], destinations, error });
    assert.equal(textsOf('source').at(-1), 'status.cancelled');
    assert.deepEqual(sent.filter(({ node }) => node === 'zstd').at(-1)?.status, {});
    assert.equal(textsOf('disk').at(-1), 'status.cancelled');
  });

  it('shows which database of several it is, and what else is done with it', () => {
    events.emit('progress', { ...PROGRESS, index: 2, count: 5, stage: 'committing' });
    assert.deepEqual(textsOf('source'), ['▶ 2/5 · 42 % · 120 MB · status.committing']);
    assert.deepEqual(textsOf('disk'), ['▶ 34 MB · status.committing']);
  });

  it('sends at most two updates a second to each node, and the last one always', async () => {
    for (let bytes = 0; bytes <= 100; bytes += 1) {
      events.emit('progress', { ...PROGRESS, expectedBytes: 100, rawBytes: bytes, rate: 0 });
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await until(() => textsOf('source').at(-1)?.startsWith('▶ 100 %') ?? false);
    const times = sent.filter(({ node }) => node === 'source').map(({ at }) => at);
    assert.ok(times.length >= 2);
    // Timers may fire a little early.
    for (const [index, at] of times.slice(1).entries()) assert.ok(at - (times[index] ?? 0) > 490);
  });

  it('shows the end at once: success, failure, and nothing at transforms', () => {
    events.emit('progress', PROGRESS);
    events.emit('finished', RESULT);
    assert.equal(textsOf('source').at(-1), '✓ 12:30 · 285 MB');
    assert.equal(textsOf('disk').at(-1), '✗ The disk is full');
    assert.deepEqual(sent.filter(({ node }) => node === 'zstd').at(-1)?.status, {});
  });

  it('counts down to the next attempt, at the nodes that it concerns', () => {
    const retry = { nodes: ['disk'], attempt: 2, attempts: 5, seconds: 8 };
    events.emit('progress', { ...PROGRESS, stage: 'waiting', retry });
    const shown = sent.find(({ node }) => node === 'disk')?.status;
    assert.deepEqual(shown, { fill: 'yellow', shape: 'ring', text: 'status.retry 2 5 8' });
    assert.deepEqual(textsOf('source'), ['▶ 42 % · 120 MB · status.waiting']);
  });

  it('warns of a destination that the run has done without', () => {
    const fills = (['succeeded', 'partial'] as const).map((state) => {
      events.emit('finished', { ...RESULT, state });
      return sent.filter(({ node }) => node === 'disk').at(-1)?.status.fill;
    });
    assert.deepEqual(fills, ['yellow', 'red']);
  });

  it('does not call a set good that does not hold', () => {
    const reference = { path: 'p', node: 'disk', storage: 's', status: 'complete' } as const;
    const set = { reference, manifest: sampleManifest(), healed: false };
    const error = new BackupError('corrupt', 'The stored set does not hold');
    const destinations = [{ node: 'disk', label: 'disk', set, error }];
    events.emit('finished', { ...RESULT, state: 'partial', destinations });
    assert.equal(textsOf('disk').at(-1), '✗ The stored set does not hold');
  });

  it('tells a partial run, a failed one and a cancelled one apart at the source', () => {
    const failed = new BackupError('not-found', 'users is gone');
    const artifacts = [
      { node: 'source', database: 'orders' },
      { node: 'source', database: 'users', error: failed },
    ];
    const show = (result: Partial<RunResult>) => {
      events.emit('progress', PROGRESS);
      events.emit('finished', { ...RESULT, ...result });
      return sent.filter(({ node }) => node === 'source').at(-1)?.status;
    };
    assert.deepEqual(show({ state: 'partial', artifacts }), {
      fill: 'yellow',
      shape: 'dot',
      text: '12:30 · status.partial 1 2',
    });
    assert.equal(show({ state: 'failed', artifacts: artifacts.slice(1) })?.text, '✗ users is gone');
    assert.equal(show({ state: 'failed' })?.text, '✗ The disk is full');
    assert.deepEqual(show({ state: 'cancelled' }), { fill: 'grey', shape: 'ring', text: 'status.cancelled' });
  });

  it('shows a redeployed node what its predecessor showed', () => {
    events.emit('progress', PROGRESS);
    board.enlist('disk', 'destination');
    assert.deepEqual(textsOf('disk'), ['▶ 34 MB', '▶ 34 MB']);
  });

  it('shortens long errors', () => {
    const error = new BackupError('internal', 'x'.repeat(200));
    events.emit('finished', { ...RESULT, destinations: [{ node: 'disk', label: 'disk', error }] });
    assert.ok((textsOf('disk').at(-1)?.length ?? 0) < 100);
  });

  it('ignores runs of nodes that it does not know', () => {
    events.emit('progress', { ...PROGRESS, nodes: ['stranger'] });
    events.emit('finished', { ...RESULT, destinations: [] });
    assert.deepEqual(sent, []);
  });
});
