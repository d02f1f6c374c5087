import { createHash } from 'node:crypto';
import { z } from 'zod';
import { BackupError } from '../errors.ts';
import { parseValue } from '../parse.ts';
import { recipe } from '../plan/recipe.ts';
import { stepRecord } from '../transforms/records.ts';
import { extent } from './extent.ts';

/** A file name inside the set: one path component, nothing hidden, nothing that climbs or breaks a line. */
const fileName = z
  .string()
  .min(1)
  .max(255)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing exactly these
  .refine((name) => !/[/\\\u0000-\u001f\u007f]/.test(name) && !name.startsWith('.'), 'not a plain file name');

/** More steps than this are no chain that anybody drew, but an attempt to exhaust the one who undoes them. */
const MAX_STEPS = 100;

const artifactIdentity = {
  /** Id of the source node that dumped it. */
  node: z.string(),
  /** Source kind: `sqlite`. */
  source: z.string(),
  /** Where it came from, without secrets. */
  origin: z.string(),
  /** The database, as the source names it. */
  database: z.string(),
  startedAt: z.iso.datetime(),
  finishedAt: z.iso.datetime(),
};

/** A manifest keeps the rows of no more tables than this. */
export const MAX_COUNTED_TABLES = 10_000;

const tableRows = z.object({ name: z.string().max(1000), rows: z.number().int().nonnegative() });

export const storedArtifact = z.object({
  ...artifactIdentity,
  status: z.literal('ok'),
  /** Stored file. */
  file: fileName,
  /** File name after every step is undone. */
  rawFile: fileName,
  /** Format of the raw bytes: `sqlite3`. */
  format: z.string(),
  /** Version of the engine that dumped it. */
  engineVersion: z.string(),
  steps: z.array(stepRecord).max(MAX_STEPS),
  raw: extent,
  stored: extent,
  proof: z.object({
    statement: z.string(),
    facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  }),
  /** Rows of each table in the dump; absent when they were not counted. */
  tables: z.array(tableRows).max(MAX_COUNTED_TABLES).optional(),
  warnings: z.array(z.string()),
});

export const failedArtifact = z.object({
  ...artifactIdentity,
  status: z.literal('failed'),
  error: z.object({ code: z.string(), message: z.string() }),
});

/** `manifest.json`, version 1: the one file that makes a folder a backup set. */
export const manifest = z.object({
  format: z.literal('dbackup-manifest'),
  version: z.literal(1),
  /** Folder name of the set: `<UTC time>_<short id>`. */
  set: z.string().min(1),
  job: z.string().min(1),
  runId: z.string().min(1),
  host: z.string(),
  product: z.object({ name: z.string(), version: z.string() }),
  startedAt: z.iso.datetime(),
  finishedAt: z.iso.datetime(),
  status: z.enum(['complete', 'partial']),
  artifacts: z.array(z.discriminatedUnion('status', [storedArtifact, failedArtifact])).min(1),
  recipe: recipe.omit({ set: true }),
});

export type Manifest = z.infer<typeof manifest>;
export type StoredArtifact = z.infer<typeof storedArtifact>;
export type FailedArtifact = z.infer<typeof failedArtifact>;

/** A manifest larger than this is not one of ours, in bytes. */
export const MAX_MANIFEST_BYTES = 64 * 1024 * 1024;

/**
 * Parses the text of a `manifest.json`.
 * @throws BackupError `corrupt` when it is not one, `invalid-config` when it is from a newer version
 */
export function parseManifest(text: string, where: string): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new BackupError('corrupt', `${where} is not JSON: the manifest is damaged`, { cause });
  }
  const version = typeof json === 'object' && json !== null && 'version' in json ? json.version : undefined;
  if (typeof version === 'number' && version > 1) {
    throw new BackupError(
      'invalid-config',
      `${where} has version ${version}, this DBackup reads version 1: update it`,
    );
  }
  const parsed = parseValue(manifest, json);
  if (parsed.ok) return parsed.value;
  throw new BackupError('corrupt', `${where} is not a valid manifest: ${parsed.problem}`);
}

/**
 * The text of a `manifest.json`, proven to be one: a set with a manifest that nobody can read is lost.
 * @throws BackupError `internal` when it could not be read back
 */
export function manifestText(value: Manifest): string {
  const text = `${JSON.stringify(value, null, 2)}\n`;
  try {
    if (Buffer.byteLength(text) > MAX_MANIFEST_BYTES) throw new Error('it is too long');
    parseManifest(text, 'it');
    return text;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new BackupError('internal', `The manifest of set ${value.set} cannot be written: ${why}`, {
      cause,
    });
  }
}

export function isStored(artifact: Manifest['artifacts'][number]): artifact is StoredArtifact {
  return artifact.status === 'ok';
}

/** SHA-256 of what a manifest says, in hex; however its fields are ordered. */
export function manifestDigest(value: Manifest): string {
  const said = parseManifest(manifestText(value), 'it');
  return createHash('sha256').update(JSON.stringify(said)).digest('hex');
}
