import type { PlanningRun } from '../../lib/engine/planning-run.ts';
import { type BackupError, throwIfAborted, toBackupError } from '../../lib/errors.ts';
import type { SourceBinding } from '../../lib/plan/bindings.ts';
import { extendRecipe } from '../../lib/plan/extend.ts';
import type { RunNeeds } from '../../lib/plan/needs.ts';
import { type Recipe, readRecipe, type SourceStep } from '../../lib/plan/recipe.ts';
import { annotationsField } from '../../lib/plan/run-annotations.ts';
import {
  annotationsOf,
  type RunParameters,
  readRunParameters,
  withoutRunParameters,
} from '../../lib/plan/run-parameters.ts';
import type { SourceDriver } from '../../lib/sources/driver.ts';
import { narrowSource } from '../../lib/sources/narrowed.ts';
import type { BackupMessage, Deliver, NodeContext } from '../define-node.ts';
import { openedRun } from '../message-recipe.ts';
import { isLeftOut } from './dead-letter.ts';
import { isTakenOver } from './taken-over.ts';

export interface SourcePart {
  readonly driver: SourceDriver;
  /** Name of the job, used when this source opens the run. */
  readonly job: string;
  /** What the run needs of its destinations, used when this source opens it. */
  readonly needs: RunNeeds;
  /** What the recipe says of the source: plain and without secrets. */
  readonly options: SourceStep['options'];
}

/**
 * How long a run may be held up by what can be told before it, in ms: it then finds out itself what is wrong.
 */
const PREPARE_WITHIN_MS = 10_000;

/**
 * What every source node does with a message: opens a run, or adds itself to the one that the message
 * belongs to. It sends on at once; the dump begins when every message of the run has found its place.
 * @throws BackupError when no dump could succeed: the run has failed then, and sends nothing on
 */
export async function passSource(
  context: NodeContext<unknown>,
  part: SourcePart,
  message: BackupMessage,
  deliver: Deliver,
): Promise<void> {
  if (isCancel(message)) {
    cancelRuns(context, message);
    return;
  }
  const recipe = readRecipe(message.backup);
  // A committed backup is over: its message may well start the next one.
  const joins = recipe !== undefined && recipe.set === undefined;
  if (!joins && (await isLeftOut(context, part.job, message))) return;
  const next = joins ? joinRun(context, part, recipe) : await beginRun(context, part, message);
  if (next === undefined) return;
  const outgoing = { ...(joins ? message : withoutRunParameters(message)), backup: next };
  context.runtime.reports.remember(next.runId, context.id, { ...outgoing });
  deliver(outgoing);
}

/**
 * In a run that others have opened their databases are to be saved all the same: only here a source may refuse.
 * @returns undefined when the run is another process's
 */
async function beginRun(
  context: NodeContext<unknown>,
  part: SourcePart,
  message: BackupMessage,
): Promise<Recipe | undefined> {
  const parameters = readRunParameters(message);
  const narrowed = narrowedPart(part, parameters);
  const failure = await prepare(narrowed.driver, context.runtime.closing);
  if (await isTakenOver(context, part.job, message)) return undefined;
  const run = openRun(context, narrowed, parameters, message);
  if (failure === undefined) return followRun(context, narrowed, run, message);
  // A backup that cannot be made is one that failed, also at night when nobody looks at the node.
  run.refuse(failure);
  throw failure;
}

/** The part of the source that the message asks for. */
function narrowedPart(part: SourcePart, { databases }: RunParameters): SourcePart {
  if (databases === undefined) return part;
  const options = { ...part.options, only: databases };
  return { ...part, driver: narrowSource(part.driver, databases), options };
}

/** @returns why no dump could succeed */
async function prepare(driver: SourceDriver, closing: AbortSignal): Promise<BackupError | undefined> {
  if (driver.prepare === undefined) return undefined;
  const late = AbortSignal.timeout(PREPARE_WITHIN_MS);
  let failure: BackupError | undefined;
  try {
    await driver.prepare(AbortSignal.any([closing, late]));
  } catch (thrown) {
    if (!late.aborted) failure = toBackupError(thrown);
  }
  throwIfAborted(closing);
  return failure;
}

function openRun(
  context: NodeContext<unknown>,
  part: SourcePart,
  parameters: RunParameters,
  message: BackupMessage,
): PlanningRun {
  const { engine, launches, telling } = context.runtime;
  const run = engine.openRun({
    job: part.job,
    needs: part.needs,
    ...annotationsField(annotationsOf(parameters)),
  });
  telling.narrator.begun(run.id, launches.reasonOf(message) ?? 'message');
  run.bindSource(bindingOf(context, part));
  return run;
}

/** The run begins when all its messages have found their places. */
function followRun(
  context: NodeContext<unknown>,
  part: SourcePart,
  run: PlanningRun,
  message: BackupMessage,
): Recipe {
  const { tracker, settings } = context.runtime;
  tracker.follow(run.id, context.self, message, {
    seal: () => run.seal(),
    ...(settings.planningSeconds === undefined ? {} : { deadlineMs: settings.planningSeconds * 1000 }),
  });
  return run.initialRecipe(stepOf(context, part));
}

function joinRun(context: NodeContext<unknown>, part: SourcePart, recipe: Recipe): Recipe {
  const extended = extendRecipe(recipe, stepOf(context, part));
  openedRun(context, recipe).bindSource(bindingOf(context, part));
  return extended;
}

function bindingOf({ id, label }: NodeContext<unknown>, { driver }: SourcePart): SourceBinding {
  return { node: id, label, driver };
}

function stepOf(context: NodeContext<unknown>, part: SourcePart): SourceStep {
  return { type: 'source', node: context.id, kind: part.driver.kind, options: part.options };
}

function isCancel(message: BackupMessage): boolean {
  return message.cancel === true || message.topic === 'cancel';
}

/** Cancels the run that the message names, else every active run that this source takes part in. */
function cancelRuns(context: NodeContext<unknown>, message: BackupMessage): void {
  const { engine } = context.runtime;
  const named = runIdOf(message);
  const runs = engine
    .activeRuns()
    .filter((run) => (named === undefined ? run.nodes.includes(context.id) : run.runId === named));
  for (const { runId } of runs) engine.cancel(runId, `a message asked ${context.label} to`);
  if (runs.length === 0) context.warn(context.text('message.nothingToCancel'));
}

function runIdOf({ backup }: BackupMessage): string | undefined {
  if (typeof backup !== 'object' || backup === null || !('runId' in backup)) return undefined;
  return typeof backup.runId === 'string' ? backup.runId : undefined;
}
