import { COMPRESS_EXTENSIONS } from '../transforms/compress.ts';
import { ANNOTATIONS_FILE, GUIDE_FILE, MANIFEST_FILE, REMOVAL_FILE } from './names.ts';
import { isSumsFile } from './sums.ts';

/** Extensions that sources give their dumps: a source that brings another one adds it here. */
export const DUMP_EXTENSIONS: readonly string[] = ['.sqlite', '.dump', '.sql', '.tar'];

const STEP_EXTENSIONS: readonly string[] = [...Object.values(COMPRESS_EXTENSIONS), '.dbk', '.age'];

/** Characters that a file name made from the name of a database is left with: see `safeName`. */
const PLAIN_NAME = /^[\p{L}\p{N}\p{M}_][\p{L}\p{N}\p{M}._-]*$/u;

/** Which file of a set could bear that name; undefined when none that was ever written could. */
export type SetFileKind = 'artifact' | 'sums' | 'guide' | 'annotations' | 'manifest' | 'removal';

/** Tells the files of a set by their names alone, without a manifest that lists them. */
export function setFileKind(name: string): SetFileKind | undefined {
  if (name === MANIFEST_FILE) return 'manifest';
  if (name === GUIDE_FILE) return 'guide';
  if (name === ANNOTATIONS_FILE) return 'annotations';
  if (name === REMOVAL_FILE) return 'removal';
  if (isSumsFile(name)) return 'sums';
  return isArtifactName(name) ? 'artifact' : undefined;
}

function isArtifactName(name: string): boolean {
  const raw = withoutSteps(name);
  const extension = extensionAmong(raw, DUMP_EXTENSIONS);
  return extension !== undefined && PLAIN_NAME.test(raw.slice(0, -extension.length));
}

function withoutSteps(name: string): string {
  const step = extensionAmong(name, STEP_EXTENSIONS);
  return step === undefined ? name : withoutSteps(name.slice(0, -step.length));
}

function extensionAmong(name: string, extensions: readonly string[]): string | undefined {
  return extensions.find((extension) => name.endsWith(extension));
}
