import { extensionOf } from '../transforms/inverse.ts';
import type { ChecksumRecord } from '../transforms/records.ts';
import { isStored, type Manifest, type StoredArtifact } from './manifest.ts';

/** A text file of a set, written before the manifest. */
export interface SetTextFile {
  readonly name: string;
  readonly text: string;
}

export interface SumsFile extends SetTextFile {
  /** The program of coreutils that checks it, with `-c`. */
  readonly tool: string;
  /** Covers files that appear while the steps are undone; check it with `--ignore-missing`. */
  readonly decoded: boolean;
}

const SUMS: Record<ChecksumRecord['algorithm'], { readonly tool: string; readonly name: string }> = {
  sha256: { tool: 'sha256sum', name: 'SHA256SUMS' },
  sha512: { tool: 'sha512sum', name: 'SHA512SUMS' },
  blake2b512: { tool: 'b2sum', name: 'B2SUMS' },
};

/** True for the name that a checksum file of a set can have. */
export function isSumsFile(name: string): boolean {
  return Object.values(SUMS).some((sums) => name === sums.name || name === decodedSums(sums.name));
}

/**
 * The checksum files of a set, in the format of coreutils (`sha256sum -c`, `sha512sum -c`, `b2sum -c`).
 * `SHA256SUMS` always covers all stored files. Those ending in `.decoded` cover the files that appear while
 * the steps are undone, the raw dump included.
 */
export function sumsFiles(manifest: Manifest): SumsFile[] {
  const files = new Map<string, { tool: string; decoded: boolean; lines: Set<string> }>();
  const add = (algorithm: ChecksumRecord['algorithm'], digest: string, file: string, decoded: boolean) => {
    const { tool, name } = SUMS[algorithm];
    const sums = decoded ? decodedSums(name) : name;
    const entry = files.get(sums) ?? { tool, decoded, lines: new Set<string>() };
    files.set(sums, entry);
    entry.lines.add(`${digest}  ${file}`);
  };
  for (const artifact of manifest.artifacts.filter(isStored)) {
    add('sha256', artifact.stored.sha256, artifact.file, false);
    if (artifact.rawFile !== artifact.file) add('sha256', artifact.raw.sha256, artifact.rawFile, true);
    for (const { record, file } of checksumPoints(artifact)) {
      add(record.algorithm, record.digest, file, file !== artifact.file);
    }
  }
  return [...files].map(([name, { tool, decoded, lines }]) => ({
    name,
    tool,
    decoded,
    text: `${[...lines].join('\n')}\n`,
  }));
}

function decodedSums(name: string): string {
  return `${name}.decoded`;
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
