import { BackupError } from '../../errors.ts';

/** One line of `rsync --list-only`. */
export interface ListedEntry {
  /** `other`: devices, sockets and pipes. */
  readonly type: 'file' | 'folder' | 'link' | 'other';
  readonly bytes: number;
  /** To the second. */
  readonly modified: Date;
  /** Below the listed folder, `.` for itself. Undefined when it is not UTF-8: no object of ours is called so. */
  readonly path: string | undefined;
  /** What a link names. */
  readonly target?: string;
}

/** Permissions, size, time of change and name, as rsync's `list_file_entry` writes them. */
const LINE = /^([-a-z])\S{9,10} +(\d+) (\d{4})\/(\d\d)\/(\d\d) (\d\d):(\d\d):(\d\d) (.*)$/s;
const TYPES: Readonly<Record<string, ListedEntry['type']>> = { '-': 'file', d: 'folder', l: 'link' };
const ARROW = ' -> ';
/** How rsync writes control characters, and a backslash that would look like the beginning of one. */
const ESCAPE = /\\#([0-7]{3})/g;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Reads a line that was written with `--no-h -8` by a process whose time zone is UTC.
 * @param line without its line break
 * @throws BackupError `unavailable` when it is none
 */
export function parseListLine(line: Buffer): ListedEntry {
  // One character for each byte: the name is decoded when its escapes are resolved.
  const match = LINE.exec(line.toString('latin1'));
  if (match === null) {
    throw new BackupError(
      'unavailable',
      `rsync listed what cannot be read with certainty: ${JSON.stringify(line.toString().slice(0, 200))}`,
    );
  }
  const [, letter = '', size = '', ...rest] = match;
  const [year, month, day, hour, minute, second] = rest.slice(0, 6).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const type = TYPES[letter] ?? 'other';
  const entry = {
    type,
    bytes: Number(size),
    modified: new Date(Date.UTC(year, month - 1, day, hour, minute, second)),
  };
  const text = rest[6] ?? '';
  const arrow = type === 'link' ? text.indexOf(ARROW) : -1;
  if (arrow < 0) return { ...entry, path: decoded(text) };
  const target = decoded(text.slice(arrow + ARROW.length)) ?? '';
  return { ...entry, path: decoded(text.slice(0, arrow)), target };
}

function decoded(latin: string): string | undefined {
  const bytes = latin.replace(ESCAPE, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
  try {
    return utf8.decode(Buffer.from(bytes, 'latin1'));
  } catch {
    return undefined;
  }
}

/** The lines of a stream, as bytes; a last one without a line break too. */
export async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    let text = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (let end = text.indexOf(10); end >= 0; end = text.indexOf(10)) {
      yield text.subarray(0, end);
      text = text.subarray(end + 1);
    }
    rest = Buffer.from(text);
  }
  if (rest.length > 0) yield rest;
}
