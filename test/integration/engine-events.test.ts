import assert from 'node:assert/strict';
import { BackupEngine } from '../../lib/engine/backup-engine.ts';
import type { RunJournal } from '../../lib/runs/journal.ts';
import type { RunResult } from '../../lib/runs/outcome.ts';
import { planRun, runEngine, useLocalFolders } from '../support/engine-run.ts';
import { ScriptedSource } from '../support/scripted-source.ts';

const MIB = 1024 * 1024;
const nothing = async () => undefined;

describe('engine: events, journal and shutdown', () => {
  const folder = useLocalFolders();
  const source = () =>
    new ScriptedSource({ name: 'one', bytes: MIB }, { name: 'two', bytes: MIB, diesAfter: 1 });

  it('tells the states in order and the end once, after the history has it', async () => {
    const a = await folder();
    const told: string[] = [];
    const journal: RunJournal = {
      opened: async ({ job }) => void told.push(`journal opened ${job}`),
      state: async (_, state) => void told.push(`journal ${state}`),
      finished: async ({ state }) => void told.push(`journal ${state}`),
    };
    const engine = new BackupEngine({ journal });
    engine.events.on('state', ({ state, nodes }) => told.push(`state ${state} ${nodes.join()}`));
    engine.events.on('artifactFailed', ({ database }) => told.push(`failed ${database}`));
    engine.events.on('finished', ({ state }) => told.push(`finished ${state}`));
    const { run } = planRun(engine, [source()], [{ to: a.driver, name: 'a' }]);
    run.seal();
    await engine.idle();
    assert.deepEqual(told, [
      'journal opened shop',
      'state planning ',
      'journal queued',
      'state queued source-0,a',
      'journal running',
      'state running source-0,a',
      'failed two',
      'journal partial',
      'state partial source-0,a',
      'finished partial',
    ]);
  });

  it('is not broken by listeners that throw or reject', async () => {
    const a = await folder();
    const engine = new BackupEngine();
    const warnings: string[] = [];
    const onWarning = ({ message }: Error) => warnings.push(message);
    process.on('warning', onWarning);
    const results: RunResult[] = [];
    for (const event of ['state', 'progress', 'notice', 'artifactFailed', 'finished'] as const) {
      engine.events.on(event, () => {
        throw new Error(`no ${event}`);
      });
      engine.events.on(event, async () => Promise.reject(new Error(`never ${event}`)));
    }
    engine.events.once('finished', (result) => results.push(result));
    const { run, joins } = planRun(engine, [source()], [{ to: a.driver, name: 'a' }]);
    run.seal();
    assert.equal((await joins[0])?.reference.status, 'partial');
    await engine.idle();
    assert.equal(results.length, 1);
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', onWarning);
    assert.ok(
      warnings.some((text) => /event "progress" failed: no progress/.test(text)),
      warnings.join('\n'),
    );
    assert.ok(warnings.some((text) => /event "finished" failed: never finished/.test(text)));
  });

  it('honours off() and once() as any emitter does', () => {
    const { events } = new BackupEngine();
    let calls = 0;
    const count = () => {
      calls += 1;
    };
    const notice = { runId: 'r', level: 'info' as const, message: 'm' };
    assert.equal(events.emit('notice', notice), false);
    events.once('notice', count);
    events.on('notice', count);
    assert.equal(events.emit('notice', notice), true);
    events.off('notice', count);
    events.emit('notice', notice);
    assert.equal(calls, 2);
  });

  it('ends a run whose end cannot be recorded, and says so', async () => {
    const a = await folder();
    const finished = async () => {
      throw new Error('disk I/O error');
    };
    const { result, notices } = await runEngine(
      new ScriptedSource({ name: 'one', bytes: MIB }),
      [{ to: a.driver, name: 'a' }],
      { journal: { opened: nothing, state: nothing, finished } },
    );
    assert.equal(result.state, 'succeeded');
    assert.ok(notices.some(({ level, message }) => level === 'error' && /disk I\/O error/.test(message)));
  });

  it('can be cancelled while the history does not answer', async () => {
    const a = await folder();
    const never = () => new Promise<undefined>(() => undefined);
    const engine = new BackupEngine({ journal: { opened: never, state: never, finished: nothing } });
    const states: string[] = [];
    engine.events.on('state', ({ state }) => states.push(state));
    const { run, joins } = planRun(engine, [source()], [{ to: a.driver, name: 'a' }]);
    run.seal();
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(engine.cancel(run.id, 'test'));
    await assert.rejects(Promise.all(joins), { code: 'aborted' });
    await engine.idle();
    assert.deepEqual(states, ['planning', 'cancelled']);
    assert.equal(engine.cancel(run.id, 'again'), false);
  });

  it('cancels a run that is still planned, and one that reached no destination fails', async () => {
    const a = await folder();
    const engine = new BackupEngine();
    const results: RunResult[] = [];
    engine.events.on('finished', (result) => results.push(result));
    const { run, joins } = planRun(engine, [source()], [{ to: a.driver, name: 'a' }]);
    engine.cancel(run.id, 'test');
    await assert.rejects(Promise.all(joins), { code: 'aborted' });
    const { run: lost } = planRun(engine, [source()], []);
    lost.seal();
    await engine.idle();
    assert.deepEqual(
      results.map(({ state }) => state),
      ['cancelled', 'failed'],
    );
    assert.match(results[1]?.error?.message ?? '', /reached no destination/);
    assert.deepEqual(engine.activeRuns(), []);
  });

  it('waits for every run and copy when it is idle or shuts down', async () => {
    const [a, b] = [await folder(), await folder()];
    const { engine, outcomes } = await runEngine(new ScriptedSource({ name: 'one', bytes: 8 * MIB }), [
      { to: a.driver, name: 'a' },
    ]);
    const outcome = outcomes.get('a');
    assert.ok(outcome?.status === 'fulfilled');
    const copy = engine.copySet({
      from: { node: 'a', label: 'a', driver: a.driver, prefix: 'sets' },
      to: { node: 'b', label: 'b', driver: b.driver, prefix: '', bytesPerSecond: MIB },
      path: outcome.value.reference.path,
      signal: new AbortController().signal,
    });
    let idle = false;
    const waiting = engine.idle().then(() => {
      idle = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(idle, false);
    await Promise.all([
      engine.shutdown('the process is stopping'),
      assert.rejects(copy, /the process is stopping/),
    ]);
    await waiting;
    await assert.rejects(
      engine.copySet({
        from: { node: 'a', label: 'a', driver: a.driver, prefix: 'sets' },
        to: { node: 'b', label: 'b', driver: b.driver, prefix: '' },
        path: outcome.value.reference.path,
        signal: new AbortController().signal,
      }),
      { code: 'aborted' },
    );
  });
});
