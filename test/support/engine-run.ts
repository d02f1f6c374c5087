import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock, ClockTimer } from '../../lib/clock.ts';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import { BackupEngine, type EngineOptions, type OpenRunOptions } from '../../lib/engine/backup-engine.ts';
import type { PlanningRun } from '../../lib/engine/planning-run.ts';
import type { TransformBinding } from '../../lib/plan/bindings.ts';
import { extendRecipe } from '../../lib/plan/extend.ts';
import type { Recipe, TransformStep } from '../../lib/plan/recipe.ts';
import type { CommittedSet, RunNotice, RunResult } from '../../lib/runs/outcome.ts';
import type { SourceDriver } from '../../lib/sources/driver.ts';
import type { Transform } from '../../lib/transforms/transform.ts';

export interface BranchSpec {
  readonly to: DestinationDriver;
  readonly name: string;
  readonly steps?: readonly { readonly node: string; readonly transform: Transform }[];
  readonly bytesPerSecond?: number;
}

export interface EngineRun {
  readonly engine: BackupEngine;
  readonly result: RunResult;
  readonly notices: readonly RunNotice[];
  /** Databases whose failure was told. */
  readonly failures: readonly string[];
  readonly outcomes: ReadonlyMap<string, PromiseSettledResult<CommittedSet>>;
}

/** A clock that goes on by itself: who waits for it waits no real time. Remembers how long was waited, in ms. */
export class TestClock implements Clock {
  readonly pauses: number[] = [];
  /** Called for every pause, which is over when it has resolved. */
  onPause: (ms: number) => void | Promise<void> = () => undefined;
  #now = 0;

  now(): number {
    return this.#now;
  }

  setTimer(call: () => void, ms: number): ClockTimer {
    let cancelled = false;
    const run = async () => {
      await this.onPause(ms);
      await new Promise((resolve) => setImmediate(resolve));
      if (cancelled) return;
      this.#now += ms;
      this.pauses.push(ms);
      call();
    };
    void run();
    return {
      cancel: () => {
        cancelled = true;
      },
    };
  }
}

/** No database is dumped twice, and what dropped out gets one copy from a sibling, at once. */
export const ONE_COPY = { retries: { destinationAttempts: 2, databaseAttempts: 1 } };

/** Opens a run of these sources over these branches, without nodes; not sealed yet. */
export function planRun(
  engine: BackupEngine,
  sources: readonly SourceDriver[],
  branches: readonly BranchSpec[],
  options: Partial<OpenRunOptions> = {},
) {
  const run = engine.openRun({ job: 'shop', ...options });
  let base: Recipe | undefined;
  for (const [index, driver] of sources.entries()) {
    const step = { type: 'source', node: `source-${index}`, kind: driver.kind, options: {} } as const;
    run.bindSource({ node: step.node, label: step.node, driver });
    base = base === undefined ? run.initialRecipe(step) : extendRecipe(base, step);
  }
  const joins = branches.map((branch) => joinBranch(run, base, branch));
  return { run, joins };
}

function joinBranch(run: PlanningRun, base: Recipe | undefined, branch: BranchSpec): Promise<CommittedSet> {
  let recipe = base;
  if (recipe === undefined) throw new Error('a run needs a source');
  for (const { node, transform } of branch.steps ?? []) {
    const binding: TransformBinding = { node, label: node, transform };
    const step: TransformStep = { type: 'transform', node, kind: transform.kind, options: {} };
    run.bindTransform(binding);
    recipe = extendRecipe(recipe, step);
  }
  const { bytesPerSecond } = branch;
  return run.join(recipe, {
    node: branch.name,
    label: branch.name,
    driver: branch.to,
    prefix: 'sets',
    ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
  });
}

export interface RunOptions extends EngineOptions, Pick<Partial<OpenRunOptions>, 'needs'> {}

/** Runs to the end and gathers everything that came of it. Waits for nothing between attempts. */
export async function runEngine(
  sources: SourceDriver | readonly SourceDriver[],
  branches: readonly BranchSpec[],
  { needs, ...options }: RunOptions = {},
): Promise<EngineRun> {
  const engine = new BackupEngine({
    host: 'test-host',
    clock: new TestClock(),
    random: () => 0.5,
    ...options,
  });
  const notices: RunNotice[] = [];
  engine.events.on('notice', (notice) => notices.push(notice));
  const failures: string[] = [];
  engine.events.on('artifactFailed', ({ database }) => failures.push(database));
  const finished = new Promise<RunResult>((resolve) => engine.events.once('finished', resolve));
  const { run, joins } = planRun(
    engine,
    Array.isArray(sources) ? sources : [sources],
    branches,
    needs === undefined ? {} : { needs },
  );
  run.seal();
  const settled = await Promise.allSettled(joins);
  const result = await finished;
  await engine.idle();
  const outcomes = new Map(branches.map(({ name }, index) => [name, settled[index]] as const));
  return { engine, result, notices, failures, outcomes: outcomes as EngineRun['outcomes'] };
}

/** A fresh folder with a local destination in it; removed by `remove`. */
export async function localFolder(): Promise<{
  root: string;
  driver: DestinationDriver;
  remove(): Promise<void>;
}> {
  const root = await mkdtemp(join(tmpdir(), 'dbackup-engine-'));
  const driver = createLocalDestination({ root, reserveMiB: 0 });
  return { root, driver, remove: () => rm(root, { recursive: true, force: true }) };
}

/** Folders for the tests of the surrounding `describe`, gone after each. */
export function useLocalFolders(): () => ReturnType<typeof localFolder> {
  const folders: Awaited<ReturnType<typeof localFolder>>[] = [];
  afterEach(async () => {
    await Promise.all(folders.splice(0).map(({ remove }) => remove()));
  });
  return async () => {
    const made = await localFolder();
    folders.push(made);
    return made;
  };
}

/** Every file below a folder, hidden ones included, relative and sorted. */
export async function filesBelow(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();
}
