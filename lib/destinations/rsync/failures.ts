import { BackupError, type ErrorCode } from '../../errors.ts';

interface Meaning {
  readonly code: ErrorCode;
  readonly transient?: boolean;
  /** What the person can do. */
  readonly advice?: string;
}

/** How a run of rsync ended that did not succeed. */
export interface FailedRun {
  /** The exit code of the rsync of this host. */
  readonly exitCode: number;
  /** What it wrote to stderr, with what the far one told it, and what the shell of the far host said. */
  readonly said: readonly string[];
}

const LATER: Meaning = { code: 'unavailable', transient: true };

/** By what was said, since the exit codes are too coarse. The first that fits. */
const BY_TEXT: readonly (readonly [RegExp, Meaning])[] = [
  [/auth failed on module/, { code: 'permission', advice: 'check user and password' }],
  [/unknown module/i, { code: 'not-found', advice: "check the module's name in rsyncd.conf of the server" }],
  [
    /access denied to .+ from/,
    { code: 'permission', advice: 'let this host in with hosts allow in rsyncd.conf of the server' },
  ],
  [/max connections .* reached/, { ...LATER, advice: 'lower the number of connections of this storage' }],
  [/module is read only/, { code: 'permission', advice: 'set read only = no for it in rsyncd.conf' }],
  [/module is write only/, { code: 'permission', advice: 'set write only = no for it in rsyncd.conf' }],
  [
    /configured to refuse|option .*(disabled|not allowed)|rrsync error/i,
    { code: 'permission', advice: 'let the server allow that option' },
  ],
  [
    /no space left on device|disk quota exceeded|\((28|122)\)$/i,
    { code: 'no-space', advice: 'free space there, or raise the quota' },
  ],
  [
    /rsync: (command )?not found|rsync.*: no such file or directory$|exit code 127/i,
    { code: 'unavailable', advice: 'install the package rsync on the host' },
  ],
  [
    /is your shell clean/,
    { code: 'invalid-config', advice: 'let the shell of the account on the host write nothing by itself' },
  ],
  [
    /unknown option|protocol version mismatch|protocol incompatibility/i,
    { code: 'unavailable', advice: 'update rsync on the server' },
  ],
  [/read-only file system/i, { code: 'permission', advice: 'the disk of the server can only be read' }],
  [
    /permission denied|operation not permitted/i,
    { code: 'permission', advice: 'give the account that rsync runs as there the right to do so' },
  ],
  [/not a directory/i, { code: 'invalid-config', advice: 'a part of the path is a file, not a folder' }],
  [/no such file or directory/i, { code: 'not-found' }],
  [/--max-delete limit/, { code: 'internal' }],
];

/** By the exit code (man page, EXIT VALUES); others are not worth another try. */
const BY_EXIT_CODE: Readonly<Record<number, Meaning>> = {
  5: { code: 'unavailable', transient: true, advice: 'the log of the daemon may say why' },
  10: LATER,
  11: { code: 'unavailable' },
  12: LATER,
  16: LATER,
  19: LATER,
  20: LATER,
  24: LATER,
  25: { code: 'internal' },
  30: { code: 'stalled', transient: true, advice: 'check the server and its network' },
  35: { code: 'stalled', transient: true, advice: 'check the server and its network' },
  255: LATER,
};

/** rsync's own account of its end, and what follows from a broken connection. */
const EPILOGUE =
  /^rsync (error|warning): |^rsync: \[\w+\] (read|write) error: |connection unexpectedly closed/;
const KEPT_LINES = 4;

/**
 * A failed run of rsync as an error that a person can act on.
 * @param doing what was tried, as in `Cannot ${doing}: …`: `write backups/a to rsync://host:873/module`
 */
export function rsyncFailure(run: FailedRun, doing: string): BackupError {
  const { code, transient = false, advice } = meaningOf(run);
  const hint = advice === undefined ? '' : `; ${advice}`;
  return new BackupError(code, `Cannot ${doing}: ${textOf(run)}${hint}`, { transient });
}

/** True when an option is refused that does without. */
export function refusesOption({ said }: FailedRun, option: string): boolean {
  return said.some(
    (line) => line.includes(option) && /unknown option|refuse|disabled|not allowed/i.test(line),
  );
}

/** True when the folder of the storage is not there, or one below which something was to be made. */
export function lacksFolder({ said }: FailedRun): boolean {
  return said.some((line) =>
    /(change_dir|link_stat|mkdir|symlink|mkstemp|open).*No such file or directory/.test(line),
  );
}

function meaningOf({ exitCode, said }: FailedRun): Meaning {
  for (const [pattern, meaning] of BY_TEXT) {
    if (said.some((line) => pattern.test(line))) return meaning;
  }
  return BY_EXIT_CODE[exitCode] ?? { code: 'unavailable' };
}

function textOf({ exitCode, said }: FailedRun): string {
  const reasons = said.filter((line) => !EPILOGUE.test(line));
  const lines = reasons.length > 0 ? reasons : said;
  if (lines.length === 0) return `rsync ended with exit code ${exitCode}`;
  const text = lines
    .slice(0, KEPT_LINES)
    .map((line) => line.replace(/^rsync: (\[\w+\] )?|^@ERROR: /, '').trim())
    .join(' / ');
  return `${text} (exit code ${exitCode})`;
}
