import type { ByteStream } from '../../bytes/stream.ts';
import { BackupError } from '../../errors.ts';
import { feedTool } from '../../tool/feed-tool.ts';
import { runTool } from '../../tool/run-tool.ts';
import type { TableRows } from '../driver.ts';
import type { Archive } from './restore-archive.ts';
import type { RestoreContext } from './restore-context.ts';
import { warningsOf } from './restore-errors.ts';
import type { RestoreInput } from './restore-input.ts';
import { knowsRestrict, restricted, scriptOf, withoutTransactionTimeout } from './restore-script.ts';
import { spoolDump, spoolText } from './restore-spool.ts';
import { pgRestore, psql, restoreTool, setsTooMuch } from './restore-tools.ts';

/** What of an archive is loaded. */
export interface Choice {
  /** Arguments of pg_restore: `--data-only`. */
  readonly args: readonly string[];
  /** Entries by their dumpId, in the archive's order; undefined: every entry. */
  readonly entries?: readonly number[];
}

export interface Loaded {
  /** What the dump itself shows, now that all of it has come. */
  readonly tables: readonly TableRows[];
  readonly warnings: readonly string[];
}

/**
 * Loads an archive into a database. Returns when every byte of the dump has come and is authentic, and every
 * statement has succeeded. Until then the database is a draft.
 * @param serverMajor of the server that it is loaded into
 */
export async function loadArchive(
  context: RestoreContext,
  input: RestoreInput,
  archive: Archive,
  database: string,
  choice: Choice,
  serverMajor: number,
): Promise<Loaded> {
  const { options, signal } = context;
  const { tool, args, remove } = await prepare(context, archive, choice);
  try {
    if (setsTooMuch(tool.major, serverMajor)) {
      if (options.jobs > 1) throw needsOlderTool(serverMajor);
      const script = scriptOf(await pgRestore(context, tool, undefined, args), input, signal);
      return await loadScript(context, withoutTransactionTimeout(script), input, database);
    }
    if (options.jobs === 1) {
      const command = await pgRestore(context, tool, database, args);
      const stderr = await feedTool(command, input.stream(), signal);
      return { tables: await input.finish(), warnings: warningsOf(stderr) };
    }
    const spooled = await spoolDump(options.spoolDirectory, input);
    try {
      const parallel = [...args, `--jobs=${options.jobs}`, spooled.path];
      const { stderr } = await runTool(await pgRestore(context, tool, database, parallel), signal);
      return { tables: await input.finish(), warnings: warningsOf(stderr) };
    } finally {
      await spooled.remove();
    }
  } finally {
    await remove();
  }
}

/** Loads a script of pg_dump into a database. */
export async function loadPlain(
  context: RestoreContext,
  input: RestoreInput,
  database: string,
  serverMajor: number,
): Promise<Loaded> {
  const head = (await input.peek(4096)).toString('latin1');
  const dumper = Number.parseInt(/^-- Dumped by pg_dump version (\d+)/m.exec(head)?.[1] ?? '0', 10);
  const script = input.stream();
  const fitting = setsTooMuch(dumper, serverMajor) ? withoutTransactionTimeout(script) : script;
  const { version } = await restoreTool('psql', context.options.engineVersion, context, context.signal);
  const safe = knowsRestrict(version) ? restricted(fitting) : fitting;
  return await loadScript(context, safe, input, database);
}

/**
 * Runs a script in a database.
 * @param args of psql: `--single-transaction`
 */
export async function loadScript(
  context: RestoreContext,
  script: ByteStream,
  input: RestoreInput,
  database: string,
  args: readonly string[] = [],
): Promise<Loaded> {
  const { options, signal } = context;
  const tool = await restoreTool('psql', options.engineVersion, context, signal);
  const command = await psql(context, tool, database, ['--echo-errors', ...args]);
  const stderr = await feedTool(command, script, signal);
  return { tables: await input.finish(), warnings: warningsOf(stderr) };
}

/** The tool that reads this archive, and what it is told to take of it. */
export async function prepare(context: RestoreContext, archive: Archive, { args, entries }: Choice) {
  const { options, signal } = context;
  const needed = Math.max(Number.parseInt(options.engineVersion, 10), archive.toolMajor);
  const tool = await restoreTool('pg_restore', String(needed), context, signal);
  if (entries === undefined) return { tool, args, remove: async () => undefined };
  const list = await spoolText(options.spoolDirectory, entries.map((id) => `${id};\n`).join(''));
  return { tool, args: [...args, `--use-list=${list.path}`], remove: list.remove };
}

export function needsOlderTool(serverMajor: number): BackupError {
  return new BackupError(
    'unavailable',
    `This pg_restore cannot restore into PostgreSQL ${serverMajor} with several jobs: install postgresql-client-${serverMajor}, or set jobs to 1`,
  );
}
