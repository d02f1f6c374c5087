import { join } from 'node:path';
import { child, pipeline } from './commands.ts';
import { RUNNER } from './compile.ts';
import type { MeasureOptions } from './measure.ts';
import { serverCases, serverTargets } from './server-cases.ts';
import type { Engine } from './servers.ts';
import { SFTP_CASES, SFTP_TARGETS } from './sftp-cases.ts';
import type { Workspace } from './workspace.ts';

/** One thing that is timed: a command that writes only below `output`, which is removed after each run. */
export interface BenchCase {
  readonly name: string;
  /** Ours, or a peer that it is compared with. */
  readonly ours: boolean;
  /** The server that it needs; absent: the files. */
  readonly needs?: Engine | 'sftp';
  /** Left out unless it is asked for by its name. */
  readonly slow?: boolean;
  /** How much it handles, in bytes, when that is not the size of the bench. */
  bytes?(workspace: Workspace): number;
  command(workspace: Workspace, output: string): string[];
  /** What else it needs to know, and what to look for in its output. */
  options?(workspace: Workspace, output: string): MeasureOptions;
  /** Removes what it has left elsewhere than below `output`. */
  after?(workspace: Workspace): Promise<void>;
}

export const CASES = {
  engine: {
    name: 'engine: file → zstd-3 → .dbk → SHA-256 → local',
    ours: true,
    command: ({ text }, output) => child('backup', 'text', text, 'sealed', join(output, 'a')),
  },
  native: {
    name: 'zstd -3 -T0 | age | tee >(sha256sum) > file',
    ours: false,
    command: ({ text, recipient }, output) =>
      pipeline(
        `zstd -q -3 -T0 -c '${text}' | age -r ${recipient} | tee >(sha256sum > '${output}/sum') > '${output}/file'`,
      ),
  },
  nodeStream: {
    name: "Node's zstd stream → GCM stream → file",
    ours: false,
    command: ({ text }, output) => child('node-stream', text, join(output, 'file')),
  },
  gzip: {
    name: 'gzip -6 | openssl enc | tee >(sha256sum) > file',
    ours: false,
    command: ({ text, passwordFile }, output) =>
      pipeline(
        `gzip -6 -c '${text}' | openssl enc -aes-256-ctr -pbkdf2 -pass 'file:${passwordFile}' | tee >(sha256sum > '${output}/sum') > '${output}/file'`,
      ),
  },
  engineTwo: {
    name: 'engine: the same into two local destinations',
    ours: true,
    command: ({ text }, output) =>
      child('backup', 'text', text, 'sealed', join(output, 'a'), join(output, 'b')),
  },
  engineRaw: {
    name: 'engine: file → SHA-256 → local, nothing else',
    ours: true,
    command: ({ text }, output) => child('backup', 'text', text, 'plain', join(output, 'a')),
  },
  restore: {
    name: 'engine: verify, decrypt, decompress, write',
    ours: true,
    command: ({ storedSet }, output) => child('restore', storedSet, output),
  },
  nativeRestore: {
    name: 'tee >(sha256sum) | age -d | zstd -d > file',
    ours: false,
    command: ({ storedAge, identityFile }, output) =>
      pipeline(
        `tee >(sha256sum > '${output}/sum') < '${storedAge}' | age -d -i '${identityFile}' | zstd -q -d -c > '${output}/file'`,
      ),
  },
  sqlitePlain: {
    name: 'engine: SQLite → SHA-256 → local',
    ours: true,
    command: ({ database }, output) => child('backup', 'sqlite', database, 'plain', join(output, 'a')),
  },
  sqliteSealed: {
    name: 'engine: SQLite → zstd-3 → .dbk → SHA-256 → local',
    ours: true,
    command: ({ database }, output) => child('backup', 'sqlite', database, 'sealed', join(output, 'a')),
  },
  sqliteRunner: {
    name: 'dbackup run: the same into two local destinations',
    ours: true,
    command: ({ flow, folder }) => [
      process.execPath,
      RUNNER,
      'run',
      flow,
      '--json',
      '--user-dir',
      join(folder, 'user'),
    ],
    options: ({ database }, output) => ({
      environment: {
        APP_DATABASE: database,
        BACKUP_DIR: join(output, 'a'),
        BACKUP_DIR_2: join(output, 'b'),
        DBACKUP_MASTER_KEY: 'correct horse battery staple',
      },
      // Progress is told four times a second, so the first byte came up to a quarter of a second before.
      mark: /"event":"progress".*"rawBytes":[1-9]/,
    }),
  },
  sqliteTool: {
    name: 'sqlite3 .backup',
    ours: false,
    command: ({ database }, output) => ['sqlite3', database, `.backup '${join(output, 'file')}'`],
  },
  ...serverCases('postgres'),
  ...serverCases('mariadb'),
  ...SFTP_CASES,
} as const satisfies Record<string, BenchCase>;

export type CaseId = keyof typeof CASES;

/** A figure to reach. */
export interface Target {
  readonly name: string;
  /** `speed`: how many times as fast as the peer, at least. `cost`: how many times as long, at most. */
  readonly kind: 'speed' | 'cost';
  readonly ours: CaseId;
  readonly peer: CaseId;
  /** Without one the ratio is only reported. */
  readonly limit?: number;
}

export const TARGETS: readonly Target[] = [
  { name: 'backup, against the native chain', kind: 'speed', ours: 'engine', peer: 'native', limit: 0.95 },
  { name: "backup, against Node's zstd stream", kind: 'speed', ours: 'engine', peer: 'nodeStream', limit: 2 },
  { name: 'backup, against gzip -6 and openssl', kind: 'speed', ours: 'engine', peer: 'gzip', limit: 5 },
  { name: 'two destinations, against one', kind: 'cost', ours: 'engineTwo', peer: 'engine', limit: 1.15 },
  { name: 'compression and encryption, against none', kind: 'cost', ours: 'engine', peer: 'engineRaw' },
  {
    name: 'restore, against the native chain',
    kind: 'speed',
    ours: 'restore',
    peer: 'nativeRestore',
    limit: 0.9,
  },
  {
    name: 'SQLite, other stages off, against .backup',
    kind: 'cost',
    ours: 'sqlitePlain',
    peer: 'sqliteTool',
    limit: 1.5,
  },
  { name: 'SQLite, everything on, against .backup', kind: 'cost', ours: 'sqliteSealed', peer: 'sqliteTool' },
  {
    name: 'dbackup run to two destinations, against .backup',
    kind: 'cost',
    ours: 'sqliteRunner',
    peer: 'sqliteTool',
  },
  ...serverTargets('postgres'),
  ...serverTargets('mariadb'),
  ...SFTP_TARGETS,
];

/** From the start of `dbackup run` to the first byte of the dump, in seconds. */
export const MAX_START_SECONDS = 1.5;

/** Largest resident set of any of our processes, in bytes. */
export const MAX_RSS_BYTES = 300e6;
