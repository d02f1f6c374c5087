import type { ListedEntry } from './list-format.ts';

/** Smaller files are sent whole: looking for what they have in common takes longer. In bytes. */
const LEAST_BYTES = 64 * 1024;
/** Encrypted files have nothing in common: each has a key of its own. */
const ENCRYPTED = /\.(dbk|age)$/;
/** What rsync, its daemon and every shell take as it is, with no meaning of its own. */
const PLAIN = /^[\p{L}\p{N}\p{M}._-]+$/u;

/** The same file of an earlier backup, whose parts need not be sent again. */
export interface Basis {
  /** Names of the folder that holds it, below the storage's. */
  readonly folder: readonly string[];
  readonly bytes: number;
}

/** True when it is worth looking for an earlier file of that name. */
export function mayHaveBasis(names: readonly string[]): boolean {
  return names.length >= 2 && !ENCRYPTED.test(names.at(-1) ?? '') && names.slice(0, -1).every(isPlain);
}

/** The latest one of the files in the folders beside; undefined when there is none that helps. */
export function chooseBasis(siblings: readonly ListedEntry[]): Basis | undefined {
  const newestFirst = siblings
    .filter(({ path = '', bytes }) => bytes >= LEAST_BYTES && path.split('/').slice(0, -1).every(isPlain))
    .toSorted(
      (a, b) => b.modified.getTime() - a.modified.getTime() || (b.path ?? '').localeCompare(a.path ?? ''),
    );
  const [newest] = newestFirst;
  if (newest?.path === undefined) return undefined;
  return { folder: newest.path.split('/').slice(0, -1), bytes: newest.bytes };
}

/** Whether a file of that size is sent by its differences. */
export function isWorthComparing(bytes: number): boolean {
  return bytes >= LEAST_BYTES;
}

function isPlain(name: string): boolean {
  return PLAIN.test(name) && !name.startsWith('.') && !name.startsWith('-');
}
