import assert from 'node:assert/strict';
import { BackupEngine, type EngineOptions } from '../../lib/engine/backup-engine.ts';
import type { RunJournal } from '../../lib/runs/journal.ts';
import type { RunResult } from '../../lib/runs/outcome.ts';
import { mayFollow, type RunState } from '../../lib/runs/states.ts';
import { planRun, useLocalFolders } from '../support/engine-run.ts';
import { ScriptedSource } from '../support/scripted-source.ts';
import { until } from '../support/until.ts';

const PATIENCE_MS = 120_000;

describe('engine: runs that wait for their turn', () => {
  const folder = useLocalFolders();

  /** An engine that remembers what was told, and runs that dump until they are let go. */
  const world = (options: EngineOptions) => {
    const engine = new BackupEngine(options);
    const told: string[] = [];
    const results = new Map<string, RunResult>();
    engine.events.on('state', ({ job, state }) => told.push(`${job} ${state}`));
    engine.events.on('queued', ({ job, position, count, server, nodes }) =>
      told.push(
        `${job} ${position} of ${count}${server === undefined ? '' : ` for ${server}`} at ${nodes.join()}`,
      ),
    );
    engine.events.on('finished', (result) => results.set(result.job, result));
    const held = new Map<string, () => void>();
    const open = async (job: string, server?: string) => {
      const source = new ScriptedSource({ name: 'one', bytes: 1000 });
      if (server !== undefined) source.lane = { key: server, limit: 9 };
      const { promise, resolve } = Promise.withResolvers<void>();
      source.onDump = () => promise;
      held.set(job, resolve);
      const { driver } = await folder();
      const { run } = planRun(engine, [source], [{ to: driver, name: 'a' }], { job });
      run.seal();
      return { id: run.id, source };
    };
    const stateOf = (job: string) => engine.activeRuns().find((run) => run.job === job)?.state;
    const becomes = (job: string, state: RunState) => until(() => stateOf(job) === state, PATIENCE_MS);
    const ended = (job: string) => until(() => results.has(job), PATIENCE_MS);
    const waits = (job: string) =>
      until(() => engine.activeRuns().find((run) => run.job === job)?.place !== undefined, PATIENCE_MS);
    return { engine, told, results, open, becomes, ended, waits, let: (job: string) => held.get(job)?.() };
  };

  it('queues those for which there is no room, and tells each node where its run stands', async () => {
    const { engine, told, results, open, becomes, ended, waits, ...rest } = world({
      limits: { concurrency: 2, perServer: 1 },
    });
    await open('first', 'db:1');
    await becomes('first', 'running');
    await open('second', 'db:1');
    await waits('second');
    await open('third', 'db:2');
    await becomes('third', 'running');
    await open('fourth');
    await waits('fourth');
    assert.deepEqual(
      engine.activeRuns().map(({ job, state, servers, place }) => [job, state, servers, place?.position]),
      [
        ['first', 'running', ['db:1'], undefined],
        ['second', 'queued', ['db:1'], 1],
        ['third', 'running', ['db:2'], undefined],
        ['fourth', 'queued', [], 2],
      ],
    );
    rest.let('third');
    await becomes('fourth', 'running');
    for (const job of ['first', 'fourth']) rest.let(job);
    await becomes('second', 'running');
    rest.let('second');
    await ended('second');
    await engine.idle();
    assert.deepEqual(
      [...results.values()].map(({ state }) => state),
      ['succeeded', 'succeeded', 'succeeded', 'succeeded'],
    );
    assert.deepEqual(
      told.filter((line) => / of /.test(line)),
      [
        'second 1 of 1 for db:1 at source-0,a',
        'second 1 of 2 for db:1 at source-0,a',
        'fourth 2 of 2 at source-0,a',
        'second 1 of 1 for db:1 at source-0,a',
      ],
    );
    assert.ok(told.indexOf('third succeeded') < told.indexOf('fourth running'));
  });

  it('cancels a run that waits, before anything of it is touched', async () => {
    const { engine, results, open, becomes, ended, waits, ...rest } = world({
      limits: { concurrency: 1, perServer: 1 },
    });
    await open('first');
    await becomes('first', 'running');
    const { id, source } = await open('second');
    await waits('second');
    assert.equal(engine.cancel(id, 'a person asked'), true);
    await ended('second');
    const result = results.get('second');
    assert.equal(result?.state, 'cancelled');
    assert.match(result?.error?.message ?? '', /was cancelled: a person asked/);
    assert.equal(source.listings, 0);
    rest.let('first');
    await engine.idle();
  });

  it('refuses at once what cannot succeed, however long the queue is', async () => {
    const { engine, results, open, becomes, ended, ...rest } = world({
      limits: { concurrency: 1, perServer: 1 },
    });
    await open('first');
    await becomes('first', 'running');
    const { run } = planRun(engine, [new ScriptedSource({ name: 'one', bytes: 1 })], [], { job: 'wrong' });
    run.seal();
    await ended('wrong');
    assert.match(results.get('wrong')?.error?.message ?? '', /reached no destination/);
    rest.let('first');
    await engine.idle();
  });

  it('gives the place of a run back whose beginning cannot be journalled', async () => {
    const journal: RunJournal = {
      opened: async () => undefined,
      state: async (_id, state) => {
        if (state === 'running' && failing) throw new Error('disk full');
      },
      finished: async () => undefined,
    };
    let failing = true;
    const { engine, results, open, ended, ...rest } = world({
      journal,
      limits: { concurrency: 1, perServer: 1 },
    });
    await open('first');
    await ended('first');
    assert.match(results.get('first')?.error?.message ?? '', /could not be journalled: disk full/);
    failing = false;
    await open('second');
    rest.let('second');
    await ended('second');
    assert.equal(results.get('second')?.state, 'succeeded');
    await engine.idle();
  });

  it('journals each state before it enters it, none that may not follow', async () => {
    const journalled = new Map<string, RunState[]>();
    const note = (id: string, state: RunState) => journalled.set(id, [...(journalled.get(id) ?? []), state]);
    const journal: RunJournal = {
      opened: async ({ id }) => void note(id, 'planning'),
      state: async (id, state) => void note(id, state),
      finished: async ({ runId, state }) => void note(runId, state),
    };
    const engine = new BackupEngine({ journal });
    engine.events.on('state', ({ runId, state }) => {
      if (state !== 'planning') assert.equal(journalled.get(runId)?.at(-1), state);
    });
    const { driver } = await folder();
    const source = new ScriptedSource({ name: 'one', bytes: 1000 });
    const needs = { destinations: 'copies', copies: 1 } as const;
    const { run } = planRun(engine, [source], [{ to: driver, name: 'a' }], { needs });
    run.seal();
    await engine.idle();
    const states = journalled.get(run.id) ?? [];
    assert.deepEqual(states, ['planning', 'queued', 'running', 'verifying', 'succeeded']);
    for (const [index, state] of states.slice(1).entries()) {
      assert.ok(mayFollow(states[index] ?? 'failed', state), state);
    }
  });

  it('keeps sets that cannot be noted as being verified', async () => {
    const journal: RunJournal = {
      opened: async () => undefined,
      state: async (_id, state) => {
        if (state === 'verifying') throw new Error('disk full');
      },
      finished: async () => undefined,
    };
    const engine = new BackupEngine({ journal });
    const notices: string[] = [];
    const states: RunState[] = [];
    engine.events.on('notice', ({ message }) => notices.push(message));
    engine.events.on('finished', ({ state }) => states.push(state));
    const { driver } = await folder();
    const source = new ScriptedSource({ name: 'one', bytes: 1000 });
    const needs = { destinations: 'copies', copies: 1 } as const;
    planRun(engine, [source], [{ to: driver, name: 'a' }], { needs }).run.seal();
    await engine.idle();
    assert.deepEqual(states, ['succeeded']);
    assert.ok(
      notices.some(
        (message) => message.includes('could not record that run') && message.includes('disk full'),
      ),
    );
  });

  it('drains: cancels what has not begun, waits for what has, and takes nothing new', async () => {
    const { engine, results, open, becomes, waits, ended, ...rest } = world({
      limits: { concurrency: 1, perServer: 1 },
    });
    await open('first');
    await becomes('first', 'running');
    await open('second');
    await waits('second');
    const planned = engine.openRun({ job: 'planned' });
    const drained = engine.drain('the process is stopping', new AbortController().signal);
    assert.throws(() => engine.openRun({ job: 'late' }), { code: 'aborted' });
    await ended('second');
    await ended('planned');
    assert.equal(planned.sealed, true);
    assert.deepEqual(
      [...results.values()].map(({ state }) => state),
      ['cancelled', 'cancelled'],
    );
    rest.let('first');
    await drained;
    assert.equal(results.get('first')?.state, 'succeeded');
  });

  it('drains no longer than it is told to', async () => {
    const { engine, results, open, becomes, ...rest } = world({});
    await open('first');
    await becomes('first', 'running');
    const limit = new AbortController();
    const drained = engine.drain('the process is stopping', limit.signal);
    limit.abort();
    await drained;
    assert.equal(results.size, 0);
    const stopped = engine.shutdown('the process is stopping');
    rest.let('first');
    await stopped;
    assert.equal(results.get('first')?.state, 'cancelled');
  });
});
