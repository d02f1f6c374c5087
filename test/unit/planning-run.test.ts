import assert from 'node:assert/strict';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import { PlanningRun, type SealedRun } from '../../lib/engine/planning-run.ts';
import { extendRecipe } from '../../lib/plan/extend.ts';
import { type Recipe, readRecipe } from '../../lib/plan/recipe.ts';
import { ScriptedSource } from '../support/scripted-source.ts';

const step = { type: 'source', node: 's', kind: 'scripted', options: {} } as const;

function planning(): { run: PlanningRun; recipe: Recipe; sealed: SealedRun[] } {
  const sealed: SealedRun[] = [];
  const run = new PlanningRun({ id: 'r1', job: 'shop', openedAt: new Date(0) }, (plan) => sealed.push(plan));
  run.bindSource({ node: 's', label: 'source', driver: new ScriptedSource({ name: 'a', bytes: 1 }) });
  return { run, recipe: run.initialRecipe(step), sealed };
}

const destination = (node: string, root = `/backups/${node}`) => ({
  node,
  label: node,
  driver: createLocalDestination({ root }) satisfies DestinationDriver,
  prefix: '',
});

describe('planning run', () => {
  it('is sealed once, with everything that joined', () => {
    const { run, recipe, sealed } = planning();
    void run.join(recipe, destination('a'));
    run.seal();
    run.seal();
    assert.equal(sealed.length, 1);
    assert.deepEqual(
      sealed[0]?.joined.map(({ binding }) => binding.node),
      ['a'],
    );
  });

  it('refuses what comes after the seal, naming the late one', async () => {
    const { run, recipe } = planning();
    run.seal();
    await assert.rejects(
      run.join(recipe, destination('late')),
      /already begun when its message reached late/,
    );
    assert.throws(
      () => run.bindSource({ node: 'x', label: 'late source', driver: new ScriptedSource() }),
      /late source/,
    );
  });

  it('refuses a destination that is reached twice, and two that store into one folder', async () => {
    const { run, recipe } = planning();
    void run.join(recipe, destination('a'));
    await assert.rejects(run.join(recipe, destination('a')), /a is reached twice/);
    await assert.rejects(
      run.join(recipe, destination('b', '/backups/a')),
      /b and a store into the same folder/,
    );
    const inside = { ...destination('c', '/backups'), prefix: 'a' };
    await assert.rejects(run.join(recipe, inside), /c and a store into the same folder/);
    void run.join(recipe, { ...destination('d', '/backups/x y'), prefix: '' });
    const escaped = { ...destination('e', '/backups'), prefix: 'x y' };
    await assert.rejects(run.join(recipe, escaped), /e and d store into the same folder/);
  });

  it('refuses a recipe with a step that the message did not pass', async () => {
    const { run, recipe } = planning();
    const forged = extendRecipe(recipe, { type: 'transform', node: 'forged', kind: 'encrypt', options: {} });
    await assert.rejects(run.join(forged, destination('a')), /names the encrypt node forged/);
  });

  it('refuses loops and steps behind a destination', () => {
    const { recipe } = planning();
    assert.throws(() => extendRecipe(recipe, step), /a second time/);
    const set = { path: 'shop/x', node: 'd', storage: 'file:///b', status: 'complete' as const };
    assert.throws(
      () => extendRecipe({ ...recipe, set }, { ...step, node: 't' }),
      /cannot follow a destination/,
    );
  });

  it('does not crash the process when nobody waits for a failed join', async () => {
    const { run, recipe } = planning();
    run.seal();
    const unhandled: unknown[] = [];
    const onUnhandled = (error: unknown) => unhandled.push(error);
    process.on('unhandledRejection', onUnhandled);
    void run.join(recipe, destination('gone'));
    await new Promise((resolve) => setTimeout(resolve, 10));
    process.off('unhandledRejection', onUnhandled);
    assert.deepEqual(unhandled, []);
  });
});

describe('recipe', () => {
  it('is read back as it was written, and absent is absent', () => {
    const { recipe } = planning();
    assert.deepEqual(readRecipe(JSON.parse(JSON.stringify(recipe))), recipe);
    assert.equal(readRecipe(undefined), undefined);
  });

  it('names what is wrong with a damaged one, and a newer version', () => {
    const { recipe } = planning();
    for (const bad of [5, 'x', [], {}, { ...recipe, path: [] }, { ...recipe, path: [{ type: 'source' }] }]) {
      assert.throws(() => readRecipe(bad), { code: 'invalid-config' });
    }
    assert.throws(() => readRecipe({ ...recipe, version: 2 }), /version 2/);
  });
});
