import { createHash } from 'node:crypto';
import type { Annotations } from '../../lib/backupset/annotation-format.ts';
import { annotationsText, NO_ANNOTATIONS } from '../../lib/backupset/annotation-format.ts';
import type { Manifest } from '../../lib/backupset/manifest.ts';
import { ANNOTATIONS_FILE, jobFolder, joinPath, newRunId } from '../../lib/backupset/names.ts';
import { completeSet } from '../../lib/backupset/writer.ts';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { sampleManifest } from './sample-manifest.ts';

const { signal } = new AbortController();

export interface PlantedSet {
  readonly prefix?: string;
  readonly job?: string;
  /** One of its two databases failed. */
  readonly partial?: boolean;
  readonly annotations?: Partial<Annotations>;
  /** Changes the manifest before it is written. */
  readonly manifest?: (manifest: Manifest) => Manifest;
}

/**
 * Stores a small backup set as a run that began then would have, without a run.
 * @returns its folder below the storage's root
 */
export async function plantSet(
  driver: DestinationDriver,
  startedAt: string | number,
  { prefix = '', job = 'shop', partial = false, annotations, manifest = (same) => same }: PlantedSet = {},
): Promise<string> {
  const opened = new Date(startedAt);
  const id = newRunId(opened);
  const path = joinPath(jobFolder(prefix, job), id);
  const made = manifest(manifestOf(id, job, opened, partial));
  const put = (file: string, bytes: Buffer) => putObject(driver, joinPath(path, file), bytes);
  for (const artifact of made.artifacts) {
    if (artifact.status === 'ok') await put(artifact.file, contentOf(artifact.database));
  }
  const folder = {
    store: async (file: string, bytes: AsyncIterable<Buffer>) => {
      const chunks: Buffer[] = [];
      for await (const chunk of bytes) chunks.push(chunk);
      await put(file, Buffer.concat(chunks));
    },
    holds: async () => true,
  };
  await completeSet(folder, made);
  if (annotations !== undefined) {
    await put(ANNOTATIONS_FILE, Buffer.from(annotationsText({ ...NO_ANNOTATIONS, ...annotations })));
  }
  return path;
}

/** Stores an object, in place of one that is there. */
export async function putObject(driver: DestinationDriver, path: string, bytes: Buffer): Promise<void> {
  const pending = await driver.write(path, once(bytes), { signal, replace: true });
  await pending.commit();
}

function manifestOf(id: string, job: string, opened: Date, partial: boolean): Manifest {
  const sample = sampleManifest();
  const [stored, failed] = sample.artifacts;
  if (stored?.status !== 'ok' || failed === undefined) throw new Error('The sample has changed');
  const startedAt = opened.toISOString();
  const finishedAt = new Date(opened.getTime() + 60_000).toISOString();
  const artifact = (database: string) => {
    const bytes = contentOf(database);
    const extent = { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
    const file = `${database}.sqlite`;
    const content = { file, rawFile: file, steps: [], raw: extent, stored: extent };
    return { ...stored, database, startedAt, finishedAt, ...content };
  };
  return {
    ...sample,
    set: id,
    runId: id,
    job,
    startedAt,
    finishedAt,
    status: partial ? 'partial' : 'complete',
    artifacts: [artifact('orders'), partial ? { ...failed, startedAt, finishedAt } : artifact('users')],
    recipe: { ...sample.recipe, runId: id, job, openedAt: startedAt },
  };
}

function contentOf(database: string): Buffer {
  return Buffer.from(`the content of ${database}`);
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer, undefined> {
  yield bytes;
}
