import { randomBytes } from 'node:crypto';

export const MANIFEST_FILE = 'manifest.json';
export const GUIDE_FILE = 'RESTORE.md';
/** Tags, note and pin of a set: the one file that changes. */
export const ANNOTATIONS_FILE = 'annotations.json';

/** Says that the set in its folder is being removed: what a killed removal leaves is known by it. */
export const REMOVAL_FILE = 'removed.json';

/** Longest file name stem made from a database name, in UTF-8 bytes: leaves room for extensions and temp names. */
const MAX_STEM_BYTES = 150;

/**
 * A run id, which is also the folder name of its sets: UTC time, sortable, and 8 random hex digits.
 * @example 20261122T143000Z_9f86d081
 */
export function newRunId(openedAt: Date): string {
  const time = `${openedAt.toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`;
  return `${time}_${randomBytes(4).toString('hex')}`;
}

/** When the run with this id was opened, to the second; undefined for a name that is no run id. */
export function openedAtOf(runId: string): Date | undefined {
  const time = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z_[0-9a-f]{8}$/.exec(runId)?.slice(1);
  if (time === undefined) return undefined;
  const [year, month, day, hour, minute, second] = time;
  const opened = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(opened.getTime()) ? undefined : opened;
}

/**
 * A name that every storage and shell takes as one path component: letters, digits, `.`, `_` and `-` of
 * any script stay, all else becomes `_`; never hidden, never empty, never too long.
 */
export function safeName(name: string): string {
  const cleaned = name
    .normalize('NFC')
    .replaceAll(/[^\p{L}\p{N}\p{M}._-]/gu, '_')
    .replace(/^[.-]+/, (lead) => '_'.repeat(lead.length));
  const short = truncateUtf8(cleaned, MAX_STEM_BYTES).replace(/\.+$/, '');
  return short === '' ? '_' : short;
}

/** Hands out file names that stay different on storages that ignore case. */
export class FileNameAllocator {
  readonly #taken = new Set<string>();

  /**
   * A name for the dump of that database, ending in `extension`, which a file's own name may have already.
   * @param number where to begin with numbering: 1 for no number, unless the name is taken
   */
  allocate(database: string, extension: string, number = 1): string {
    const named = database.toLowerCase().endsWith(extension.toLowerCase());
    const stem = safeName(named ? database.slice(0, database.length - extension.length) : database);
    let candidate = '';
    for (let n = number; candidate === '' || this.#taken.has(candidate.toLowerCase()); n += 1) {
      candidate = n === 1 ? stem + extension : `${stem}-${n}${extension}`;
    }
    this.#taken.add(candidate.toLowerCase());
    return candidate;
  }
}

/** Folder of a job's sets below the storage's root. */
export function jobFolder(prefix: string, job: string): string {
  return joinPath(prefix, safeName(job));
}

/** Joins path parts of a storage with `/`, leaving out empty ones. */
export function joinPath(...parts: string[]): string {
  return parts.filter((part) => part !== '').join('/');
}

function truncateUtf8(text: string, maxBytes: number): string {
  let result = '';
  let bytes = 0;
  for (const character of text) {
    bytes += Buffer.byteLength(character);
    if (bytes > maxBytes) break;
    result += character;
  }
  return result;
}
