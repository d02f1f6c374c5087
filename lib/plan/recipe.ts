import { z } from 'zod';
import { BackupError } from '../errors.ts';
import { parseValue } from '../parse.ts';
import { runNeeds } from './needs.ts';
import { runAnnotations } from './run-annotations.ts';

/** A setting that may stand in a message: plain JSON, no secrets, no Buffers, no streams. */
const plainOptions = z.record(z.string(), z.json());

const sourceStep = z.object({
  type: z.literal('source'),
  node: z.string().min(1),
  kind: z.string().min(1),
  options: plainOptions,
});

const transformStep = z.object({
  type: z.literal('transform'),
  node: z.string().min(1),
  kind: z.enum(['compress', 'encrypt', 'checksum']),
  options: plainOptions,
});

const pathStep = z.discriminatedUnion('type', [sourceStep, transformStep]);

/** Where a committed backup set lies, as far as a message may say it. */
export const setReference = z.object({
  /** `<job>/<UTC time>_<short id>`, relative to the storage's root and prefix. */
  path: z.string().min(1),
  /** Id of the destination node that stored it. */
  node: z.string().min(1),
  /** The storage, for people: `file:///backups`. */
  storage: z.string(),
  status: z.enum(['complete', 'partial']),
});

/**
 * `msg.backup`, version 1: what a message carries between backup nodes. The path is the order in which
 * the message passed sources and transforms; a transform applies to every source before it.
 */
export const recipe = z.object({
  version: z.literal(1),
  runId: z.string().min(1),
  job: z.string().min(1),
  openedAt: z.iso.datetime(),
  path: z.array(pathStep).min(1),
  /** What the run needs of its destinations; absent: all of them. */
  needs: runNeeds.optional(),
  /** Tags, note and pin that the sets of the run begin with. */
  annotations: runAnnotations.optional(),
  /** Present once a destination has committed: the message now stands for that set. */
  set: setReference.optional(),
});

export type Recipe = z.infer<typeof recipe>;
export type PathStep = z.infer<typeof pathStep>;
export type SourceStep = z.infer<typeof sourceStep>;
export type TransformStep = z.infer<typeof transformStep>;
export type SetReference = z.infer<typeof setReference>;

/**
 * Reads `msg.backup`. Undefined when there is none, so that a source can open a run.
 * @throws BackupError `invalid-config` when it is there but not a recipe of a version we know
 */
export function readRecipe(value: unknown): Recipe | undefined {
  if (value === undefined || value === null) return undefined;
  const version = typeof value === 'object' && 'version' in value ? value.version : undefined;
  if (typeof version === 'number' && version > 1) {
    throw new BackupError(
      'invalid-config',
      `msg.backup has version ${version}, this DBackup reads version 1: update @dbackup/node-red on this host`,
    );
  }
  const parsed = parseValue(recipe, value);
  const problem = parsed.ok ? jsonProblem(parsed.value) : parsed.problem;
  if (parsed.ok && problem === undefined) return parsed.value;
  throw new BackupError(
    'invalid-config',
    `msg.backup is not a backup recipe (${problem}): let a source node write it and leave it unchanged on the way`,
  );
}

/** A recipe ends up in a manifest: what cannot be written there is refused before the dump, not after it. */
function jsonProblem(value: Recipe): string | undefined {
  try {
    JSON.stringify(value);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message.split('\n')[0] : String(error);
  }
}
