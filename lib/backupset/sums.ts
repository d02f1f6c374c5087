import { extensionOf } from '../transforms/inverse.ts';
import type { ChecksumRecord } from '../transforms/records.ts';
import { isStored, type Manifest, type StoredArtifact } from './manifest.ts';
import { DECODED_SUMS_FILE, SUMS_FILE } from './names.ts';

/** A text file of a set, written before the manifest. */
export interface SetTextFile {
  readonly name: string;
  readonly text: string;
}

const SUMS_PREFIX: Record<ChecksumRecord['algorithm'], string> = {
  sha256: 'SHA256SUMS',
  sha512: 'SHA512SUMS',
  blake2b512: 'B2SUMS',
};

/**
 * The checksum files of a set, in the format of coreutils (`sha256sum -c`, `sha512sum -c`, `b2sum -c`).
 * `SHA256SUMS` covers the stored files. Those ending in `.decoded` cover the files that appear while the
 * steps are undone, the raw dump included; checked with `--ignore-missing`.
 */
export function sumsFiles(manifest: Manifest): SetTextFile[] {
  const lines = new Map<string, Set<string>>();
  const add = (file: string, digest: string, name: string) => {
    const entries = lines.get(file) ?? new Set<string>();
    lines.set(file, entries.add(`${digest}  ${name}`));
  };
  for (const artifact of manifest.artifacts.filter(isStored)) {
    add(SUMS_FILE, artifact.stored.sha256, artifact.file);
    if (artifact.rawFile !== artifact.file) add(DECODED_SUMS_FILE, artifact.raw.sha256, artifact.rawFile);
    for (const { record, file } of checksumPoints(artifact)) {
      const prefix = SUMS_PREFIX[record.algorithm];
      add(file === artifact.file ? prefix : `${prefix}.decoded`, record.digest, file);
    }
  }
  return [...lines].map(([name, entries]) => ({ name, text: `${[...entries].join('\n')}\n` }));
}

/** Each checksum step with the name that the file has at that point of the chain. */
function checksumPoints(artifact: StoredArtifact): { record: ChecksumRecord; file: string }[] {
  const points: { record: ChecksumRecord; file: string }[] = [];
  let file = artifact.rawFile;
  for (const record of artifact.steps) {
    if (record.kind === 'checksum') points.push({ record, file });
    file += extensionOf(record);
  }
  return points;
}
