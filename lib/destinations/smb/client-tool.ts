import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { BackupError, throwIfAborted } from '../../errors.ts';
import { runTool } from '../../tool/run-tool.ts';

/** Where packages put it, for processes that have a short PATH. */
const FOLDERS = ['/usr/bin', '/usr/local/bin', '/opt/homebrew/bin', '/usr/local/samba/bin', '/opt/local/bin'];
/** The first release that knows every setting we give: an older one would leave out `client smb encrypt` quietly. */
const OLDEST: readonly [number, number] = [4, 15];
/** A tool that does not say its version by then, in ms, cannot be used. */
const VERSION_MS = 30_000;

/** The clients that were found, by the folder that was given. */
const known = new Map<string, string>();

/**
 * Finds Samba's `smbclient`.
 * @param folder where it is; empty: in the folders of PATH, then in the usual ones
 * @returns its path
 * @throws BackupError `unavailable` that says what to install
 */
export async function findSmbclient(folder: string, signal: AbortSignal): Promise<string> {
  throwIfAborted(signal);
  const before = known.get(folder);
  if (before !== undefined && (await isExecutable(before))) return before;
  const inPath = (process.env.PATH ?? '').split(delimiter).filter((entry) => entry.startsWith('/'));
  const problems: string[] = [];
  for (const place of folder === '' ? [...inPath, ...FOLDERS] : [folder]) {
    const path = join(place, 'smbclient');
    if (!(await isExecutable(path))) continue;
    const problem = await problemOf(path, signal);
    if (problem === undefined) {
      known.set(folder, path);
      return path;
    }
    problems.push(problem);
  }
  throw new BackupError('unavailable', notFound(folder, [...new Set(problems)]));
}

/** The release that `smbclient --version` names: `Version 4.17.12-Debian`. */
export function readVersion(text: string): readonly [number, number] | undefined {
  const found = /^Version (\d+)\.(\d+)/m.exec(text);
  return found === null ? undefined : [Number(found[1]), Number(found[2])];
}

export function isTooOld([major, minor]: readonly [number, number]): boolean {
  return major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]);
}

async function problemOf(path: string, signal: AbortSignal): Promise<string | undefined> {
  const command = { program: path, args: ['--version'], env: {}, subject: `${path} --version` };
  try {
    const { stdout } = await runTool(command, AbortSignal.any([signal, AbortSignal.timeout(VERSION_MS)]));
    const version = readVersion(stdout);
    if (version === undefined) return `${path} says no version that is known: ${stdout.trim().slice(0, 100)}`;
    return isTooOld(version) ? `${path} is of Samba ${version.join('.')}, which is too old` : undefined;
  } catch (error) {
    throwIfAborted(signal);
    return error instanceof Error ? error.message : String(error);
  }
}

function notFound(folder: string, problems: readonly string[]): string {
  const where = folder === '' ? '' : ` in ${folder}`;
  const why = problems.length === 0 ? '' : ` (${problems.join('; ')})`;
  const what =
    folder === ''
      ? `install the package smbclient (samba-client on Red Hat, samba on macOS), ${OLDEST.join('.')} or newer, or set its folder in the storage`
      : 'correct the folder of smbclient in the storage';
  return `No smbclient that works was found${where}${why}: ${what}`;
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
