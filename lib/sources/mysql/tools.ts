import { constants } from 'node:fs';
import { access, realpath, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { BackupError, throwIfAborted } from '../../errors.ts';
import { runTool } from '../../tool/run-tool.ts';
import type { MysqlFlavour } from './connect.ts';

/** `dump`: `mariadb-dump` or `mysqldump`. `client`: `mariadb` or `mysql`. */
export type MysqlToolName = 'dump' | 'client';

export interface MysqlTool {
  readonly path: string;
  /** Of the release that it belongs to: `10.11.19`, `9.7.4`. */
  readonly version: string;
  readonly flavour: MysqlFlavour;
}

export interface ToolDemand {
  /** Folder of the tools, used alone; empty: looked for on the machine. */
  readonly folder: string;
  /** Of the server; undefined: any will do. */
  readonly flavour: MysqlFlavour | undefined;
}

const PROGRAMS: Record<MysqlToolName, readonly string[]> = {
  dump: ['mariadb-dump', 'mysqldump'],
  client: ['mariadb', 'mysql'],
};
/** Where packages put them, for processes that have a short PATH. */
const FOLDERS = [
  '/usr/bin',
  '/usr/local/bin',
  '/usr/local/mysql/bin',
  '/opt/homebrew/opt/mysql-client/bin',
  '/opt/homebrew/opt/mariadb/bin',
  '/opt/homebrew/bin',
];
/** A tool that does not say its version by then, in ms, cannot be used. */
const VERSION_MS = 30_000;

/**
 * Finds a tool: one of the server's own flavour, else one of the other, which its user must judge. Each tells
 * by `--version` what it is, since either name may lead to either flavour.
 * @throws BackupError `unavailable` that says what to install, when there is none
 */
export async function findMysqlTool(
  name: MysqlToolName,
  { folder, flavour }: ToolDemand,
  signal: AbortSignal,
): Promise<MysqlTool> {
  throwIfAborted(signal);
  const problems: string[] = [];
  let other: MysqlTool | undefined;
  for (const path of await candidates(name, folder)) {
    try {
      const tool = await lookAt(path, signal);
      if (flavour === undefined || tool.flavour === flavour) return tool;
      other ??= tool;
    } catch (error) {
      throwIfAborted(signal);
      problems.push(error instanceof Error ? error.message : String(error));
    }
  }
  if (other !== undefined) return other;
  throw new BackupError('unavailable', notFound(name, folder, problems));
}

/**
 * Reads the answer to `--version`.
 * @returns undefined when it is none of these tools
 */
export function readVersion(text: string): Pick<MysqlTool, 'version' | 'flavour'> | undefined {
  const isMariadb = /mariadb/i.test(text);
  if (!isMariadb && !/mysql/i.test(text)) return undefined;
  // MariaDB: `Ver 10.19 Distrib 10.11.19-MariaDB`, from 11 on `from 11.4.2-MariaDB, client 15.2`. MySQL: `Ver 9.7.4`.
  const found = /\b(?:Distrib|from) (\d+\.\d+\.\d+)/.exec(text) ?? /\bVer (\d+\.\d+\.\d+)/.exec(text);
  const version = found?.[1];
  return version === undefined ? undefined : { version, flavour: isMariadb ? 'mariadb' : 'mysql' };
}

async function candidates(name: MysqlToolName, folder: string): Promise<string[]> {
  const inPath = (process.env.PATH ?? '').split(delimiter).filter((entry) => entry.startsWith('/'));
  const folders = folder === '' ? [...inPath, ...FOLDERS] : [folder];
  const found = new Map<string, string>();
  for (const program of PROGRAMS[name]) {
    for (const entry of folders) {
      const path = join(entry, program);
      const real = await programAt(path);
      if (real !== undefined && !found.has(real)) found.set(real, path);
    }
  }
  return [...found.values()];
}

/** The file that a path leads to, when it can be run. */
async function programAt(path: string): Promise<string | undefined> {
  try {
    const real = await realpath(path);
    await access(real, constants.X_OK);
    return (await stat(real)).isFile() ? real : undefined;
  } catch {
    return undefined;
  }
}

async function lookAt(path: string, signal: AbortSignal): Promise<MysqlTool> {
  const command = {
    program: path,
    args: ['--no-defaults', '--version'],
    env: {},
    subject: `${path} --version`,
  };
  const limit = AbortSignal.timeout(VERSION_MS);
  const { stdout } = await runTool(command, AbortSignal.any([signal, limit]));
  const said = readVersion(stdout);
  if (said !== undefined) return { path, ...said };
  throw new BackupError('unavailable', `${path} --version says no version that is known: ${stdout.trim()}`);
}

function notFound(name: MysqlToolName, folder: string, problems: readonly string[]): string {
  const programs = PROGRAMS[name].join(' or ');
  const where = folder === '' ? '' : ` in ${folder}`;
  const why = problems.length === 0 ? '' : ` (${problems.join('; ')})`;
  const what =
    folder === ''
      ? 'install mariadb-client or mysql-client, or set the folder of the tools in the server node'
      : 'correct the folder of the tools in the server node';
  return `No ${programs} that works was found${where}${why}: ${what}`;
}
