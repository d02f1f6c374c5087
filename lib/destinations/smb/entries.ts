import { BackupError } from '../../errors.ts';

/** What a listing says of one name in a folder of the share. */
export interface Entry {
  /** As it is in the share. */
  readonly name: string;
  readonly type: 'file' | 'folder' | 'link';
  /** Of files. */
  readonly bytes: number;
  readonly modified: Date;
}

export interface Listing {
  /** Without the folder itself and its parent. */
  readonly entries: readonly Entry[];
  /** That this user may fill; undefined when the server does not tell. */
  readonly freeBytes: number | undefined;
}

/**
 * A row of smbclient's `ls`, as `display_finfo` of Samba's source3/client/client.c prints it:
 * `"  %-30s%7.7s %8.0f  %s"` with name, attributes, size, and a time in the form of asctime(3). A name can hold
 * anything, so that the row is read from its end.
 */
const SIZE_AND_TIME = /(\d+) {2}\w{3} (\w{3}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4,})$/;
const NAME_WIDTH = 30;
const FLAGS_WIDTH = 7;
const SIZE_WIDTH = 8;
const TRAILER = /^\s*(\d+) blocks of size (\d+)\. (\d+) blocks available$/;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/**
 * Reads what `ls` printed, with times in UTC.
 * @throws BackupError `corrupt` for what is no listing: a line that is passed over may be a backup
 */
export function parseListing(lines: readonly string[]): Listing {
  const entries: Entry[] = [];
  let freeBytes: number | undefined;
  for (const line of lines) {
    const trailer = TRAILER.exec(line);
    // A server need not tell its free space.
    if (/^Error in dskattr/.test(line)) continue;
    if (trailer !== null) freeBytes = Number(trailer[2]) * Number(trailer[3]);
    else entries.push(...parseRow(line));
  }
  return { entries, freeBytes };
}

function parseRow(line: string): Entry[] {
  const found = SIZE_AND_TIME.exec(line);
  if (found === null || !line.startsWith('  ')) throw unreadable(line);
  const [, size = '', month = '', day, hours, minutes, seconds, year] = found;
  const before = line.slice(2, found.index);
  const blanks = 1 + Math.max(0, SIZE_WIDTH - size.length);
  const padded = before.slice(0, -blanks - FLAGS_WIDTH);
  const flags = before.slice(-blanks - FLAGS_WIDTH, -blanks);
  if (!before.endsWith(' '.repeat(blanks)) || !/^[A-Za-z ]{7}$/.test(flags)) throw unreadable(line);
  const name = unpadded(padded);
  if (name === '.' || name === '..') return [];
  const at = MONTHS.indexOf(month);
  if (name === '' || at < 0) throw unreadable(line);
  const modified = new Date(
    Date.UTC(Number(year), at, Number(day), Number(hours), Number(minutes), Number(seconds)),
  );
  const isFolder = flags.includes('D');
  // A folder that is a reparse point (r) is a junction or a mount point: it may lead out of the storage, or in circles.
  const type = !isFolder ? 'file' : flags.includes('r') ? 'link' : 'folder';
  return [{ name, type, bytes: isFolder ? 0 : Number(size), modified }];
}

/** The column is counted in bytes. A name that fills it is not padded; names never end with a blank in a share. */
function unpadded(padded: string): string {
  return Buffer.byteLength(padded) > NAME_WIDTH ? padded : padded.trimEnd();
}

function unreadable(line: string): BackupError {
  return new BackupError(
    'corrupt',
    `smbclient lists what cannot be read with certainty: ${JSON.stringify(line.slice(0, 200))}`,
  );
}
