import { BackupError } from '../../errors.ts';

/** What a listing says of one name in a folder. */
export interface Entry {
  readonly name: string;
  readonly type: 'file' | 'folder' | 'link' | 'other';
  /** Of files. */
  readonly bytes: number;
  /** Absent where the server tells no exact time. */
  readonly modified?: Date;
}

/**
 * The facts that MLSD and MLST give of one entry (RFC 3659, section 7.2), undefined for the folder itself
 * and its parent.
 * @throws BackupError `corrupt` for what does not follow the RFC: a line that is passed over may be a backup
 */
export function parseFacts(line: string): Entry | undefined {
  const blank = line.indexOf(' ');
  const facts = new Map<string, string>();
  for (const fact of line.slice(0, Math.max(0, blank)).split(';')) {
    const equals = fact.indexOf('=');
    if (equals > 0) facts.set(fact.slice(0, equals).toLowerCase(), fact.slice(equals + 1));
  }
  const name = line.slice(blank + 1);
  const type = facts.get('type')?.toLowerCase();
  if (type === 'cdir' || type === 'pdir') return undefined;
  if (blank < 0 || name === '' || type === undefined) throw unreadable(line);
  if (name === '.' || name === '..') return undefined;
  const modified = timeOf(facts.get('modify'));
  const dated = modified === undefined ? {} : { modified };
  if (type === 'dir') return { name, type: 'folder', bytes: 0, ...dated };
  if (type !== 'file') return { name, type: /link/.test(type) ? 'link' : 'other', bytes: 0, ...dated };
  const size = facts.get('size');
  if (size === undefined || !/^\d+$/.test(size)) throw unreadable(line);
  return { name, type: 'file', bytes: Number(size), ...dated };
}

/** RFC 3659, section 2.3: `YYYYMMDDHHMMSS`, maybe with a fraction, in UTC. */
export function timeOf(text: string | undefined): Date | undefined {
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d{1,3})\d*)?$/.exec(text?.trim() ?? '');
  if (parts === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction = ''] = parts;
  const time = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}.${fraction.padEnd(3, '0')}Z`);
  return Number.isNaN(time.getTime()) ? undefined : time;
}

/** As `ls -l` prints it, which most servers without MLSD do: its columns are certain, its times are not. */
const UNIX_LINE =
  /^([-dlbcps])[-rwxsStTL]{9}[.+@]?\s+\d+\s+\S+\s+\S+\s+(\d+)\s+\S{3,4}\s+\d{1,2}\s+(?:\d{1,2}:\d{2}|\d{4}) (.+)$/;

/**
 * The entries of `LIST -a`, without times. A folder that cannot be read gives the same empty answer as an
 * empty one with many servers, so that an empty one must show `.` or a total.
 * @throws BackupError `unavailable` when it is in no form that can be read with certainty
 */
export function parseUnixListing(text: string, path: string): Entry[] {
  const entries: Entry[] = [];
  let isWhole = false;
  for (const line of linesOf(text)) {
    if (/^total \d+$/i.test(line)) {
      isWhole = true;
      continue;
    }
    const [, kind, size, rest = ''] = UNIX_LINE.exec(line) ?? [];
    if (kind === undefined) {
      throw new BackupError(
        'unavailable',
        `The FTP server lists ${path} in a form that cannot be read with certainty (${line.slice(0, 200)}): use a server that offers MLSD`,
      );
    }
    if (rest === '.' || rest === '..') isWhole = true;
    else if (kind === 'l') entries.push({ name: rest.split(' -> ')[0] as string, type: 'link', bytes: 0 });
    else if (kind === 'd') entries.push({ name: rest, type: 'folder', bytes: 0 });
    else entries.push({ name: rest, type: kind === '-' ? 'file' : 'other', bytes: Number(size) });
  }
  if (entries.length > 0 || isWhole) return entries;
  throw new BackupError(
    'unavailable',
    `The FTP server does not tell whether ${path} is empty or cannot be read: use a server that offers MLSD`,
  );
}

/** The lines of a listing; RFC 959 ends them with CR LF, some servers with LF only. */
export function linesOf(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line !== '');
}

function unreadable(line: string): BackupError {
  return new BackupError(
    'corrupt',
    `The FTP server lists what does not follow RFC 3659: ${line.slice(0, 200)}`,
  );
}
