import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, delimiter, join } from 'node:path';
import { BackupError, throwIfAborted } from '../../errors.ts';
import { runTool } from '../../tool/run-tool.ts';

export type PostgresToolName = 'pg_dump' | 'pg_dumpall' | 'pg_restore' | 'psql';

export interface PostgresTool {
  readonly path: string;
  /** As it says itself: `15.18`, `18beta1`. */
  readonly version: string;
  /** The part of the version that decides what it can do. */
  readonly major: number;
}

export interface ToolDemand {
  /** Folder of the tools, used alone; empty: looked for on the machine. */
  readonly folder: string;
  /** Major version of the server: no older tool works with it. */
  readonly atLeast: number;
  /** Full version of the server, for the error. */
  readonly serverVersion?: string;
}

/** Where the packages of Debian, of postgresql.org for Red Hat and SUSE, and of Homebrew put every version. */
const VERSION_FOLDERS = [
  { parent: '/usr/lib/postgresql', pattern: /^\d/, bin: 'bin' },
  { parent: '/usr', pattern: /^pgsql-\d/, bin: 'bin' },
  { parent: '/usr/lib', pattern: /^postgresql\d/, bin: 'bin' },
  { parent: '/opt/homebrew/opt', pattern: /^(postgresql@|libpq$)/, bin: 'bin' },
  { parent: '/usr/local/opt', pattern: /^(postgresql@|libpq$)/, bin: 'bin' },
];
/** A tool that does not say its version by then, in ms, cannot be used. */
const VERSION_MS = 30_000;

/**
 * Finds a tool that fits the server: the oldest major version that is not older than it, of that the newest
 * release. Looks into the given folder only, or else into every place where packages put them and the PATH.
 * @throws BackupError `unavailable` that says what to install, when there is none
 */
export async function findPostgresTool(
  name: PostgresToolName,
  demand: ToolDemand,
  signal: AbortSignal,
): Promise<PostgresTool> {
  throwIfAborted(signal);
  const folders = demand.folder === '' ? await knownFolders() : [demand.folder];
  const found: PostgresTool[] = [];
  const problems: string[] = [];
  for (const path of await existing(folders, name)) {
    try {
      found.push(await askVersion(path, name, signal));
    } catch (error) {
      throwIfAborted(signal);
      problems.push(error instanceof Error ? error.message : String(error));
    }
  }
  const [best] = found.filter(({ major }) => major >= demand.atLeast).sort(byAge);
  if (best !== undefined) return best;
  throw noneFits(name, demand, found, problems);
}

async function knownFolders(): Promise<string[]> {
  const listed = await Promise.all(
    VERSION_FOLDERS.map(async ({ parent, pattern, bin }) => {
      const names = await readdir(parent).catch(() => []);
      return names.filter((name) => pattern.test(name)).map((name) => join(parent, name, bin));
    }),
  );
  const path = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return [...listed.flat(), ...path];
}

/** The different programs of this name. Debian's wrapper is none: it chooses a version by rules of its own. */
async function existing(folders: readonly string[], name: string): Promise<string[]> {
  const byRealPath = new Map<string, string>();
  for (const folder of folders) {
    const path = join(folder, name);
    const real = await realpath(path).catch(() => undefined);
    if (real === undefined || basename(real) === 'pg_wrapper' || byRealPath.has(real)) continue;
    byRealPath.set(real, path);
  }
  return [...byRealPath.values()];
}

/** What tools said, until their files change. */
const known = new Map<string, { readonly mtimeMs: number; readonly tool: PostgresTool }>();

async function askVersion(path: string, name: string, signal: AbortSignal): Promise<PostgresTool> {
  const { mtimeMs } = await stat(path);
  const before = known.get(path);
  if (before !== undefined && before.mtimeMs === mtimeMs) return before.tool;
  const within = AbortSignal.any([signal, AbortSignal.timeout(VERSION_MS)]);
  const { stdout } = await runTool(
    { program: path, args: ['--version'], env: {}, subject: `${path} --version` },
    within,
  );
  const version = /\(PostgreSQL\) (\S+)/.exec(stdout)?.[1];
  if (version === undefined) {
    throw new BackupError('unavailable', `${path} is no ${name}: it calls itself ${stdout.trim()}`);
  }
  const tool = { path, version, major: Number.parseInt(version, 10) };
  known.set(path, { mtimeMs, tool });
  return tool;
}

function byAge(one: PostgresTool, other: PostgresTool): number {
  if (one.major !== other.major) return one.major - other.major;
  return other.version.localeCompare(one.version, 'en', { numeric: true });
}

function noneFits(
  name: PostgresToolName,
  demand: ToolDemand,
  found: readonly PostgresTool[],
  problems: readonly string[],
): BackupError {
  const { folder, atLeast, serverVersion = String(atLeast) } = demand;
  const wanted = `postgresql-client-${atLeast}`;
  const newest = found.toSorted(byAge).at(-1);
  if (newest !== undefined) {
    const remedy =
      folder === ''
        ? `install ${wanted} or set its path in the server node`
        : `set a folder with the tools of version ${atLeast} or newer in the server node`;
    return new BackupError(
      'unavailable',
      `PostgreSQL server ${serverVersion} is newer than ${name} ${newest.version} (${newest.path}): ${remedy}`,
    );
  }
  const because = problems.length === 0 ? '' : ` that works (${problems.join('; ')})`;
  return new BackupError(
    'unavailable',
    folder === ''
      ? `There is no ${name}${because} on this machine: install ${wanted} or set the folder of the tools in the server node`
      : `There is no ${name}${because} in ${folder}: correct the folder of the tools in the server node`,
  );
}
