import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { BackupError } from '../../lib/errors.ts';
import type { EngineEvents, RunResult } from '../../lib/runs/outcome.ts';
import { createOutput } from '../../runner/output.ts';
import { JsonReport } from '../../runner/report/json-report.ts';
import { describeProgress, ProgressLines } from '../../runner/report/progress-view.ts';
import type { RunReport } from '../../runner/report/run-report.ts';
import { summaryLines, TextReport } from '../../runner/report/text-report.ts';
import { captured } from '../support/captured-output.ts';
import { sampleManifest } from '../support/sample-manifest.ts';

const RESULT: RunResult = {
  runId: 'r1',
  job: 'shop',
  state: 'partial',
  openedAt: new Date('2026-03-01T10:00:00Z'),
  finishedAt: new Date('2026-03-01T10:00:02Z'),
  rawBytes: 4_000_000,
  artifacts: [
    { node: 's', database: 'a.db' },
    { node: 's', database: 'b.db', error: new BackupError('corrupt', 'b.db is\nno database') },
  ],
  destinations: [
    {
      node: 'd1',
      label: 'near',
      set: {
        reference: { path: 'shop/x', node: 'd1', storage: 'file:///near', status: 'partial' },
        manifest: sampleManifest(),
        healed: true,
      },
    },
    { node: 'd2', label: 'far', error: new BackupError('no-space', 'far is full') },
  ],
};

function tell(report: RunReport): void {
  const events = new EventEmitter<EngineEvents>();
  report.follow(events);
  events.emit('state', { runId: 'r1', job: 'shop', state: 'planning', nodes: [] });
  events.emit('state', { runId: 'r1', job: 'shop', state: 'queued', nodes: ['s'] });
  const place = { runId: 'r1', job: 'shop', nodes: ['s'], server: 'postgres://db:5432' };
  events.emit('queued', { ...place, position: 2, count: 2 });
  events.emit('queued', { ...place, position: 1, count: 1 });
  events.emit('state', { runId: 'r1', job: 'shop', state: 'running', nodes: ['s'] });
  events.emit('progress', {
    runId: 'r1',
    job: 'shop',
    stage: 'dumping',
    database: 'a.db',
    index: 1,
    count: 2,
    nodes: ['s'],
    rawBytes: 10,
    expectedBytes: 100,
    rate: 5,
    etaSeconds: 18,
    storedBytes: { d1: 3 },
  });
  events.emit('notice', { runId: 'r1', level: 'warn', message: 'slow', node: 'd2' });
  events.emit('artifactFailed', {
    runId: 'r1',
    node: 's',
    database: 'b.db',
    error: new BackupError('corrupt', 'b.db is no database'),
  });
  report.log({ level: 'error', message: 'a node failed', node: { id: 'n', type: 'http request' } });
  report.log({ level: 'debug', message: 'a detail' });
  events.emit('finished', RESULT);
  report.ended({ exitCode: 5, results: [RESULT], nodeErrors: [], elapsedMs: 2100.4 });
}

describe('JSON report', () => {
  const out = captured();
  const lines = () => out.stdout().split('\n').filter(Boolean);

  before(() => tell(new JsonReport(createOutput(out.streams.stdout, out.streams.stderr))));

  it('writes one object with event and time per line, and nothing else', () => {
    for (const line of lines()) {
      const { event, time } = JSON.parse(line);
      assert.equal(typeof event, 'string');
      assert.equal(new Date(time).toISOString(), time);
    }
    assert.equal(out.stderr(), '');
  });

  it('tells the events in their order', () => {
    assert.deepEqual(
      lines().map((line) => JSON.parse(line).event),
      [
        'run-opened',
        'run-queued',
        'run-queued',
        'run-started',
        'progress',
        'notice',
        'artifact-failed',
        'log',
        'run-finished',
        'finished',
      ],
    );
  });

  it('tells where a waiting run stands', () => {
    const { time: _, ...queued } = JSON.parse(lines()[1] ?? '');
    assert.deepEqual(queued, {
      event: 'run-queued',
      run: 'r1',
      job: 'shop',
      position: 2,
      count: 2,
      server: 'postgres://db:5432',
    });
  });

  it('gives sizes and rates as numbers', () => {
    const { time: _, ...progress } = JSON.parse(lines()[4] ?? '');
    assert.deepEqual(progress, {
      event: 'progress',
      run: 'r1',
      job: 'shop',
      stage: 'dumping',
      database: 'a.db',
      index: 1,
      count: 2,
      rawBytes: 10,
      expectedBytes: 100,
      rate: 5,
      etaSeconds: 18,
      storedBytes: { d1: 3 },
    });
  });

  it('gives the outcome of each database and destination', () => {
    const finished = JSON.parse(lines()[8] ?? '');
    assert.equal(finished.state, 'partial');
    assert.deepEqual(finished.artifacts, [
      { node: 's', database: 'a.db' },
      { node: 's', database: 'b.db', error: { code: 'corrupt', message: 'b.db is\nno database' } },
    ]);
    assert.deepEqual(
      finished.destinations.map((destination: { label: string; set?: object; error?: object }) => [
        destination.label,
        destination.set !== undefined,
        destination.error,
      ]),
      [
        ['near', true, undefined],
        ['far', false, { code: 'no-space', message: 'far is full' }],
      ],
    );
    assert.equal(finished.destinations[0].set.healed, true);
    const { time: _, ...end } = JSON.parse(lines()[9] ?? '');
    assert.deepEqual(end, {
      event: 'finished',
      exitCode: 5,
      runs: [{ run: 'r1', state: 'partial' }],
      elapsedMs: 2100,
    });
  });
});

describe('text report', () => {
  const report = (quiet: boolean) => {
    const out = captured();
    const output = createOutput(out.streams.stdout, out.streams.stderr);
    tell(new TextReport(output, new ProgressLines(output, Number.POSITIVE_INFINITY), { quiet }));
    return out;
  };

  it('tells what happens on stderr and what came of it on stdout', () => {
    const out = report(false);
    assert.match(out.stderr(), /Run r1 of shop started/);
    assert.deepEqual(out.stderr().match(/.*queued.*/g), ['Run r1 of shop is queued, 2 of 2']);
    assert.match(out.stderr(), /error: http request: a node failed/);
    assert.doesNotMatch(out.stderr(), /a detail/);
    const [first, ...rest] = out.stdout().trimEnd().split('\n');
    assert.equal(first, 'Run r1 of shop partial: 4.0 MB in 2.0 s, 2.0 MB/s');
    assert.match(rest[0] ?? '', /^ {2}b\.db failed: b\.db is\\u\{a\}no database$/);
    assert.match(rest[1] ?? '', /^ {2}near: .* in file:\/\/\/near shop\/x, partial, copied from another/);
    assert.equal(rest[2], '  far failed: far is full');
  });

  it('tells what was tried, read back, and not needed', () => {
    const [near, far] = RESULT.destinations;
    assert.ok(near !== undefined && far !== undefined);
    const lines = summaryLines({
      ...RESULT,
      state: 'succeeded',
      artifacts: [],
      destinations: [{ ...near, attempts: 3, verified: true }, far],
    });
    assert.match(lines[1] ?? '', /after its own sink failed, at attempt 3, verified$/);
    assert.equal(lines[2], '  far failed, and was not needed: far is full');
    const error = new BackupError('corrupt', 'The stored set does not hold');
    const [, bad] = summaryLines({ ...RESULT, artifacts: [], destinations: [{ ...near, error }] });
    assert.match(bad ?? '', /failed: The stored set does not hold$/);
  });

  it('says what it waits for', () => {
    const retry = { nodes: ['d2'], attempt: 2, attempts: 5, seconds: 8 };
    const storedBytes = {};
    const progress = {
      runId: 'r1',
      job: 'shop',
      database: '',
      index: 0,
      count: 0,
      nodes: [],
      rawBytes: 0,
      rate: 0,
    };
    assert.equal(
      describeProgress({ ...progress, storedBytes, stage: 'waiting', retry }),
      'waiting: attempt 2 of 5 in 8 s',
    );
  });

  it('says only what is wrong when it shall be quiet', () => {
    const out = report(true);
    assert.equal(out.stderr(), 'error: http request: a node failed\n');
    assert.match(out.stdout(), /partial/);
  });
});
