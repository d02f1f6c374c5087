import { readStored } from '../backupset/copy.ts';
import { isStored, type Manifest, type StoredArtifact } from '../backupset/manifest.ts';
import type { BackupSet } from '../backupset/reader.ts';
import { completeSet, discardUncompletedSet } from '../backupset/writer.ts';
import { DigestTap } from '../bytes/digest.ts';
import type { ByteStream } from '../bytes/stream.ts';
import { BackupError } from '../errors.ts';
import { EMPTY_KEY_RING } from '../keys/keys.ts';
import type { DestinationBinding, TransformBinding } from '../plan/bindings.ts';
import { transformsAfter } from '../plan/plan-tree.ts';
import type { PathStep, TransformStep } from '../plan/recipe.ts';
import { extensionOf, undoSteps } from '../transforms/inverse.ts';
import type { StepRecord } from '../transforms/records.ts';
import { commit, transfer } from './transfer.ts';

export interface RecodeRequest {
  readonly from: BackupSet;
  readonly to: DestinationBinding;
  readonly folder: string;
  /** The way that leads to the destination, whose steps the new files shall have. */
  readonly path: readonly PathStep[];
  readonly transforms: ReadonlyMap<string, TransformBinding>;
  readonly signal: AbortSignal;
  readonly stallMs: number;
  onBytes(total: number): void;
}

/**
 * Whether files stored by one way can be turned into those of the other: same sources, and nothing to
 * decrypt, since a host that backs up need not hold the keys that open a backup.
 */
export function canRecode(from: readonly PathStep[], to: readonly PathStep[]): boolean {
  const sources = sourceNodes(to);
  if (sources.join('\n') !== sourceNodes(from).join('\n')) return false;
  return sources.every((node) => {
    const change = chainChange(from, to, node);
    return change.undo.every((step) => step.kind !== 'encrypt');
  });
}

/** Makes the set that the path describes out of a committed set with other steps; returns its manifest. */
export async function recodeSet(request: RecodeRequest): Promise<Manifest> {
  const artifacts: Manifest['artifacts'] = [];
  const files: string[] = [];
  try {
    for (const artifact of request.from.manifest.artifacts) {
      const recoded = isStored(artifact) ? await recodeArtifact(artifact, request) : artifact;
      if (isStored(recoded)) files.push(recoded.file);
      artifacts.push(recoded);
    }
    const { manifest } = request.from;
    const made = { ...manifest, artifacts, recipe: { ...manifest.recipe, path: [...request.path] } };
    await completeSet(request.to.driver, request.folder, made, request.signal);
    return made;
  } catch (error) {
    await discardUncompletedSet(request.to.driver, request.folder, files);
    throw error;
  }
}

async function recodeArtifact(artifact: StoredArtifact, request: RecodeRequest): Promise<StoredArtifact> {
  const { from, to, folder, signal, stallMs, onBytes } = request;
  const change = chainChange(from.manifest.recipe.path, request.path, artifact.node);
  const kept = artifact.steps.slice(0, change.shared);
  const undone = undoSteps(
    artifact.steps.slice(change.shared),
    readStored(from.driver, from.path, artifact, signal),
    { keys: EMPTY_KEY_RING, signal },
  );
  const chain = applySteps(undone, change.apply, request);
  const tap = new DigestTap(chain.output);
  const file = fileAfter(artifact, change.shared) + chain.extension;
  const pending = await transfer({
    binding: to,
    path: `${folder}/${file}`,
    input: tap,
    signal,
    stallMs,
    onBytes,
  });
  await commit(pending, to.label, stallMs);
  const steps = [...kept, ...chain.records.map((record) => record())];
  return { ...artifact, file, steps, stored: { bytes: tap.bytes, sha256: tap.sha256() } };
}

function applySteps(input: ByteStream, steps: readonly TransformStep[], request: RecodeRequest) {
  let output = input;
  let extension = '';
  const records: (() => StepRecord)[] = [];
  for (const step of steps) {
    const binding = request.transforms.get(step.node);
    if (binding === undefined) throw new BackupError('internal', `Transform ${step.node} was never bound`);
    const pass = binding.transform.forward(output, request.signal);
    output = pass.output;
    extension += binding.transform.extension;
    records.push(() => pass.record());
  }
  return { output, extension, records };
}

/** Name of the stored file when only its first `count` steps are applied. */
function fileAfter(artifact: StoredArtifact, count: number): string {
  return artifact.rawFile + artifact.steps.slice(0, count).map(extensionOf).join('');
}

/** How one source's chain differs between two ways: steps shared, to undo, to apply. */
function chainChange(from: readonly PathStep[], to: readonly PathStep[], source: string) {
  const a = chainOf(from, source);
  const b = chainOf(to, source);
  let shared = 0;
  while (shared < a.length && shared < b.length && a[shared]?.node === b[shared]?.node) shared += 1;
  return { shared, undo: a.slice(shared), apply: b.slice(shared) };
}

function chainOf(path: readonly PathStep[], source: string): TransformStep[] {
  return transformsAfter(
    path,
    path.findIndex((step) => step.node === source),
  );
}

function sourceNodes(path: readonly PathStep[]): string[] {
  return path.filter((step) => step.type === 'source').map((step) => step.node);
}
