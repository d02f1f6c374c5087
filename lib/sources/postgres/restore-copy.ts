import { BackupError } from '../../errors.ts';
import { startToolDump } from '../../tool/tool-dump.ts';
import { FORMATS } from './dump-reader.ts';
import { toolFailure } from './failures.ts';
import { conninfo, libpqEnvironment } from './libpq.ts';
import { beside, type RestoreContext } from './restore-context.ts';
import { RestoreInput } from './restore-input.ts';
import { keptName } from './restore-names.ts';
import { restoreNew } from './restore-new.ts';
import { databaseNames } from './restore-swap.ts';
import { restoreTool } from './restore-tools.ts';

/** How long the copy waits for a table that somebody has locked, in ms. */
const LOCK_WAIT_MS = 60_000;

/**
 * Copies the target as it is now into a database beside it, on the same server, by pg_dump and pg_restore.
 * (`CREATE DATABASE … TEMPLATE` would be faster, but nobody may be connected to the original meanwhile.)
 * @returns the name of the copy
 * @throws BackupError; then there is no copy
 */
export async function copyDatabase(context: RestoreContext): Promise<string> {
  const { server, options, signal } = context;
  const { database } = options;
  const { version, name } = await beside(context, async (session) => ({
    version: session.version,
    name: keptName(database, new Date(), await databaseNames(session)),
  }));
  const tool = await restoreTool('pg_dump', version, context, signal);
  const command = {
    program: tool.path,
    args: [
      '--no-password',
      ...FORMATS.custom.args,
      `--lock-wait-timeout=${LOCK_WAIT_MS}`,
      `--dbname=${conninfo(database)}`,
    ],
    env: await libpqEnvironment(context.reached, server),
    subject: `The safety copy of ${database}: pg_dump`,
    classify: toolFailure,
  };
  const dump = startToolDump(command, signal);
  const input = new RestoreInput(dump.stream, FORMATS.custom.reader(true));
  try {
    const archive = await input.archive('custom');
    const copying: RestoreContext = {
      ...context,
      options: {
        ...options,
        database: name,
        format: 'pg-custom',
        engineVersion: version,
        overwrite: 'refuse',
        content: 'all',
        tables: [],
        owners: true,
        privileges: true,
        jobs: 1,
      },
    };
    await restoreNew(copying, input, {
      archive,
      choice: { args: [] },
      warnings: [],
      swap: { name, mayReplace: false, keep: false },
    });
    await dump.ended;
    return name;
  } finally {
    await input.close();
    await dump.stop(new BackupError('aborted', `${command.subject} was ended`));
  }
}
