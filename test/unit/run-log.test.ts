import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { BackupError } from '../../lib/errors.ts';
import type { LogLine } from '../../lib/logs/log-line.ts';
import { forgetSecrets, knowSecret } from '../../lib/logs/redact.ts';
import { MAX_LINES, RunLog } from '../../lib/logs/run-log.ts';
import { NO_JOURNAL, type RunJournal } from '../../lib/runs/journal.ts';
import type { EngineEvents, RunProgress, RunResult } from '../../lib/runs/outcome.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { sampleManifest } from '../support/sample-manifest.ts';

const START = '2026-03-01T10:00:00.000Z';

describe('the log of a run', () => {
  afterEach(forgetSecrets);

  it('tells what happened in order, with times, and everything of it before the history knows the end', async () => {
    const world = new LogWorld();
    world.journal.finished = async () => {
      world.written.push({ ...world.line('the history knows the end') });
    };
    await world.open();
    world.state('planning');
    await world.clock.pass(1000);
    world.state('running');
    for (const rawBytes of [1, 2, 3]) world.progress({ stage: 'dumping', rawBytes });
    world.events.emit('notice', {
      runId: 'r1',
      level: 'warn',
      message: 'shop failed; attempt 2 of 3 in 8 s',
      node: 's',
    });
    world.progress({ stage: 'waiting' });
    world.progress({ stage: 'committing' });
    const error = new BackupError('unavailable', 'the server is gone');
    world.events.emit('artifactFailed', { runId: 'r1', node: 's', database: 'stock', error });
    await world.clock.pass(5000);
    await world.end();
    assert.deepEqual(
      world.written.map(({ at, level, node, message }) => [at.slice(17, 19), level, node, message]),
      [
        ['00', 'info', null, 'Opened: the messages of the run travel through the flow'],
        ['01', 'info', null, 'Begins'],
        ['01', 'debug', null, 'Stage: dumping shop (1 of 2)'],
        ['01', 'warn', 's', 'shop failed; attempt 2 of 3 in 8 s'],
        ['01', 'debug', null, 'Stage: committing'],
        ['01', 'error', 's', 'stock: the server is gone'],
        ['06', 'warn', 'near', 'Near has 1.0 kB in file:///near shop/x, partial, at attempt 2'],
        ['06', 'error', 'far', 'Far failed: the disk is full'],
        ['06', 'warn', null, 'Partial after 5.0 s with 4.1 kB of data, 1 of 2 databases failed'],
        ['06', 'info', null, 'the history knows the end'],
      ],
    );
  });

  it('gathers lines and writes them together', async () => {
    const world = new LogWorld();
    await world.open();
    for (let i = 0; i < 20; i += 1) world.notice(`line ${i}`);
    assert.equal(world.batches, 0);
    await world.clock.pass(1000);
    assert.equal(world.batches, 1);
    assert.equal(world.written.length, 20);
    await world.clock.pass(60_000);
    assert.equal(world.batches, 1);
    assert.equal(world.clock.waiting, 0);
  });

  it('keeps lines back until the history knows the run', async () => {
    const world = new LogWorld();
    const known = Promise.withResolvers<void>();
    world.journal.opened = () => known.promise;
    const opening = world.open();
    world.notice('early');
    await world.clock.pass(60_000);
    assert.deepEqual(world.written, []);
    known.resolve();
    await opening;
    await world.clock.pass(1000);
    assert.deepEqual(world.messages(), ['early']);
  });

  it('is bounded, says so, and tells the end all the same', async () => {
    const world = new LogWorld();
    await world.open();
    for (let i = 1; i <= MAX_LINES + 50; i += 1) world.notice(`line ${i}`);
    await world.end();
    const messages = world.messages();
    assert.equal(messages[MAX_LINES - 1], `line ${MAX_LINES}`);
    assert.match(messages[MAX_LINES] ?? '', /^More than 2000 lines/);
    assert.match(messages[MAX_LINES + 1] ?? '', /^Near has/);
    assert.equal(messages.length, MAX_LINES + 4);
  });

  it('does not disturb a run when it cannot be written: it is told once, and caught up later', async () => {
    const world = new LogWorld();
    await world.open();
    world.fails = true;
    world.notice('one');
    await world.clock.pass(1000);
    world.notice('two');
    await world.clock.pass(1000);
    assert.deepEqual(world.warnings, ['The log of runs cannot be written: disk full']);
    world.fails = false;
    world.notice('three');
    await world.clock.pass(1000);
    assert.deepEqual(world.messages(), ['one', 'two', 'three']);
    world.fails = true;
    await world.end();
    assert.equal(world.warnings.length, 2);
    assert.equal(world.finished, 1);
  });

  it('says nothing of runs that it does not know', async () => {
    const world = new LogWorld();
    world.notice('of a run that has ended');
    await world.clock.pass(1000);
    assert.deepEqual(world.written, []);
  });

  it('holds no secret', async () => {
    knowSecret('hunter22');
    const world = new LogWorld();
    await world.open();
    world.notice('The server said: no hunter22');
    await world.clock.pass(1000);
    assert.deepEqual(world.messages(), ['The server said: no ***']);
  });
});

class LogWorld {
  readonly clock = new FakeClock(START);
  readonly events = new EventEmitter<EngineEvents>();
  readonly written: LogLine[] = [];
  readonly warnings: string[] = [];
  readonly journal: { -readonly [Name in keyof RunJournal]: RunJournal[Name] } = {
    ...NO_JOURNAL,
    finished: async () => {
      this.finished += 1;
    },
  };
  readonly log: RunLog;
  batches = 0;
  finished = 0;
  fails = false;

  constructor() {
    this.log = new RunLog({
      clock: this.clock,
      write: async (lines) => {
        if (this.fails) throw new Error('disk full');
        this.batches += 1;
        this.written.push(...lines);
      },
      warn: (message) => this.warnings.push(message),
    });
    this.log.follow(this.events);
  }

  open(): Promise<void> {
    return this.log.journal(this.journal).opened({ id: 'r1', job: 'shop', openedAt: new Date(START) });
  }

  end(): Promise<void> {
    return this.log.journal(this.journal).finished(partialResult());
  }

  state(state: 'planning' | 'running'): void {
    this.events.emit('state', { runId: 'r1', job: 'shop', state, nodes: [] });
  }

  progress(part: Partial<RunProgress>): void {
    this.events.emit('progress', {
      runId: 'r1',
      job: 'shop',
      stage: 'dumping',
      database: 'shop',
      index: 1,
      count: 2,
      nodes: [],
      rawBytes: 0,
      rate: 0,
      storedBytes: {},
      ...part,
    });
  }

  notice(message: string): void {
    this.events.emit('notice', { runId: 'r1', level: 'info', message });
  }

  line(message: string): LogLine {
    return { run: 'r1', at: this.clock.text, level: 'info', node: null, message };
  }

  messages(): string[] {
    return this.written.map(({ message }) => message);
  }
}

function partialResult(): RunResult {
  const manifest = sampleManifest();
  const reference = { path: 'shop/x', node: 'near', storage: 'file:///near', status: 'partial' } as const;
  return {
    runId: 'r1',
    job: 'shop',
    state: 'partial',
    openedAt: new Date(START),
    finishedAt: new Date(Date.parse(START) + 5000),
    rawBytes: 4096,
    artifacts: [
      { node: 's', database: 'shop' },
      { node: 's', database: 'stock', error: new BackupError('unavailable', 'the server is gone') },
    ],
    destinations: [
      { node: 'near', label: 'Near', set: { reference, manifest, healed: false }, attempts: 2 },
      { node: 'far', label: 'Far', error: new BackupError('no-space', 'the disk is full') },
    ],
  };
}
