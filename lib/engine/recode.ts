import { extentOf } from '../backupset/extent.ts';
import { isStored, type Manifest, type StoredArtifact } from '../backupset/manifest.ts';
import type { BackupSet } from '../backupset/reader.ts';
import { readStored } from '../backupset/stored-stream.ts';
import { completeSet } from '../backupset/writer.ts';
import { DigestTap } from '../bytes/digest.ts';
import type { ByteStream } from '../bytes/stream.ts';
import { EMPTY_KEY_RING } from '../keys/keys.ts';
import type { TransformBinding } from '../plan/bindings.ts';
import { transformsAfter } from '../plan/plan-tree.ts';
import type { PathStep, TransformStep } from '../plan/recipe.ts';
import { readRaw } from '../restore/raw-stream.ts';
import { extensionOf } from '../transforms/inverse.ts';
import type { StepRecord } from '../transforms/records.ts';
import type { SetFolder } from './set-folder.ts';
import { openStep } from './step-pass.ts';

export interface RecodeRequest {
  readonly from: BackupSet;
  readonly to: SetFolder;
  /** The way that leads to the destination, whose steps the new files shall have. */
  readonly path: readonly PathStep[];
  readonly transforms: ReadonlyMap<string, TransformBinding>;
  onBytes(total: number): void;
}

/**
 * Whether files stored by one way can be turned into those of the other: same sources, nothing to decrypt,
 * since a host that backs up need not hold the keys that open a backup, and all that is decompressed can
 * be compared with the dump.
 */
export function canRecode(from: readonly PathStep[], to: readonly PathStep[]): boolean {
  const sources = sourceNodes(to);
  if (sources.join('\n') !== sourceNodes(from).join('\n')) return false;
  return sources.every((node) => {
    const { kept, undo } = chainChange(from, to, node);
    return undo.every(({ kind }) => kind === 'checksum' || (kind === 'compress' && leavesRaw(kept)));
  });
}

/**
 * Makes the set that the path describes out of a committed set with other steps; returns its manifest.
 * @throws BackupError of either side; what was written until then stays, and is the caller's to discard
 */
export async function recodeSet(request: RecodeRequest): Promise<Manifest> {
  const { from, to, path } = request;
  const artifacts: Manifest['artifacts'] = [];
  for (const artifact of from.manifest.artifacts) {
    artifacts.push(isStored(artifact) ? await recodeArtifact(artifact, request) : artifact);
  }
  const { recipe } = from.manifest;
  const made = { ...from.manifest, artifacts, recipe: { ...recipe, path: [...path] } };
  await completeSet(to, made);
  return made;
}

async function recodeArtifact(artifact: StoredArtifact, request: RecodeRequest): Promise<StoredArtifact> {
  const { from, to, path, onBytes } = request;
  const change = chainChange(from.manifest.recipe.path, path, artifact.node);
  const kept = artifact.steps.slice(0, change.kept.length);
  const chain = applySteps(readAfter(artifact, kept, request), change.apply, request);
  const tap = new DigestTap(chain.output);
  const file = artifact.rawFile + kept.map(extensionOf).join('') + chain.extension;
  await to.store(file, tap, { onBytes });
  return { ...artifact, file, steps: [...kept, ...chain.record()], stored: extentOf(tap) };
}

/**
 * The artifact's bytes when only the kept steps are applied: either the dump, and compared with it, or
 * what is stored, since then `canRecode` allows nothing but checksums to be undone.
 */
function readAfter(
  artifact: StoredArtifact,
  kept: readonly StepRecord[],
  { from, to }: RecodeRequest,
): ByteStream {
  const { signal, stallMs } = to;
  return leavesRaw(kept)
    ? readRaw({ set: from, artifact, keys: EMPTY_KEY_RING, signal, stallMs })
    : readStored(from.driver, from.path, artifact, { signal, stallMs });
}

/** These steps change nothing: behind them, the bytes are still those of the dump. */
function leavesRaw(steps: readonly { readonly kind: StepRecord['kind'] }[]): boolean {
  return steps.every(({ kind }) => kind === 'checksum');
}

function applySteps(
  input: ByteStream,
  steps: readonly TransformStep[],
  { transforms, to }: RecodeRequest,
): { output: ByteStream; extension: string; record(): StepRecord[] } {
  let output = input;
  let extension = '';
  const records: (() => StepRecord)[] = [];
  for (const step of steps) {
    const pass = openStep(step, transforms, output, to.signal);
    output = pass.output;
    extension += pass.extension;
    records.push(() => pass.record());
  }
  return { output, extension, record: () => records.map((record) => record()) };
}

/** How one source's chain differs between two ways: what both begin with, what to undo, what to apply. */
function chainChange(from: readonly PathStep[], to: readonly PathStep[], source: string) {
  const a = chainOf(from, source);
  const b = chainOf(to, source);
  let shared = 0;
  while (shared < a.length && shared < b.length && a[shared]?.node === b[shared]?.node) shared += 1;
  return { kept: a.slice(0, shared), undo: a.slice(shared), apply: b.slice(shared) };
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
