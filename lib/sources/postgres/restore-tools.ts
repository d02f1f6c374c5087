import { BackupError } from '../../errors.ts';
import type { ToolCommand } from '../../tool/tool-process.ts';
import { toolFailure } from './failures.ts';
import { conninfo, libpqEnvironment } from './libpq.ts';
import type { RestoreContext } from './restore-context.ts';
import { explainFailure } from './restore-errors.ts';
import { findPostgresTool, type PostgresTool } from './tools.ts';

/** The settings of a database must not stop a restore into it. */
const SESSION = {
  default_transaction_read_only: 'off',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
};

/** From this version on the tools set a parameter, `transaction_timeout`, that older servers refuse. */
const FIRST_WITH_TRANSACTION_TIMEOUT = 17;

/** Whether what a tool (or a script of a pg_dump) of one version sets is unknown to a server of another. */
export function setsTooMuch(toolMajor: number, serverMajor: number): boolean {
  return toolMajor >= FIRST_WITH_TRANSACTION_TIMEOUT && serverMajor < FIRST_WITH_TRANSACTION_TIMEOUT;
}

/**
 * The tool that can read what a server of this version gave.
 * @param dumped version of the dumped server, or of the archive's format
 * @throws BackupError `unavailable` that says what to install
 */
export async function restoreTool(
  name: 'pg_restore' | 'psql' | 'pg_dump',
  dumped: string,
  { server }: Pick<RestoreContext, 'server'>,
  signal: AbortSignal,
): Promise<PostgresTool> {
  const major = Number.parseInt(dumped, 10);
  if (!Number.isInteger(major)) {
    throw new BackupError('invalid-config', `${dumped} is no version of PostgreSQL`);
  }
  const demand = { folder: server.toolsFolder, atLeast: major, serverVersion: dumped };
  return await findPostgresTool(name, demand, signal);
}

/** A run of pg_restore. @param goal a database, or undefined for a script on stdout */
export async function pgRestore(
  context: RestoreContext,
  tool: PostgresTool,
  goal: string | undefined,
  args: readonly string[],
): Promise<ToolCommand> {
  const { owners, privileges } = context.options;
  const into = goal === undefined ? ['--file=-'] : ['--exit-on-error', `--dbname=${conninfo(goal)}`];
  return {
    program: tool.path,
    args: [
      ...['--no-password', ...into],
      ...(owners ? [] : ['--no-owner']),
      ...(privileges ? [] : ['--no-privileges']),
      ...args,
    ],
    env: await libpqEnvironment(context.reached, context.server, SESSION),
    subject: `pg_restore into ${context.options.database}`,
    explain: explainFailure,
    classify: toolFailure,
  };
}

/** A run of psql that reads a script from stdin and stops at the first error. */
export async function psql(
  context: RestoreContext,
  tool: PostgresTool,
  database: string,
  args: readonly string[],
): Promise<ToolCommand> {
  return {
    program: tool.path,
    args: [
      ...['--no-password', '--no-psqlrc', '--quiet', '--set=ON_ERROR_STOP=1'],
      ...[`--dbname=${conninfo(database)}`, '--file=-', ...args],
    ],
    env: await libpqEnvironment(context.reached, context.server, SESSION),
    subject: `psql into ${context.options.database}`,
    explain: explainFailure,
    classify: toolFailure,
  };
}
