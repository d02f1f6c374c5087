import { randomBytes } from 'node:crypto';
import { toBackupError } from '../../errors.ts';
import { withLargeOutput } from '../../tool/large-output.ts';
import { SILENCE_MS, silenceWithLocks } from '../../tool/silence.ts';
import { startToolDump, type ToolDump } from '../../tool/tool-dump.ts';
import type { ToolCommand } from '../../tool/tool-process.ts';
import type { Dump, DumpProof } from '../driver.ts';
import { type Reached, reach } from '../server/reach.ts';
import { connectThrough, type PostgresSession } from './connect.ts';
import { mayReadPasswords, NO_PASSWORDS } from './databases.ts';
import { type DumpReader, FORMATS, scriptReader } from './dump-reader.ts';
import { toolFailure } from './failures.ts';
import { conninfo, libpqEnvironment } from './libpq.ts';
import type { PostgresServer, PostgresSource } from './options.ts';
import { watchStatements } from './statement-watch.ts';
import { findPostgresTool, type PostgresTool } from './tools.ts';

/** pg_dump reads the whole of a table before it writes any of it to a tar archive: so long it may take, in ms. */
const TAR_SILENCE_MS = 7 * 24 * 60 * 60_000;

/** What one run of a dump tool shall do. */
interface DumpOrder {
  readonly tool: 'pg_dump' | 'pg_dumpall';
  /** The database to connect to. */
  readonly database: string;
  readonly args: readonly string[];
  readonly reader: DumpReader;
  readonly format: string;
  readonly extension: string;
  readonly statementTimeout: number;
  /** In ms. */
  readonly silence: number;
  readonly warnings: readonly string[];
}

/**
 * Starts the dump of one database.
 * @throws BackupError when it cannot start; nothing is left open by then
 */
export async function dumpDatabase(
  server: PostgresServer,
  source: PostgresSource,
  database: string,
  signal: AbortSignal,
): Promise<Dump> {
  const { reader, args, ...format } = FORMATS[source.format];
  const lock = source.lockTimeout === 0 ? [] : [`--lock-wait-timeout=${source.lockTimeout * 1000}`];
  return await startDump(server, database, signal, async () => ({
    ...format,
    tool: 'pg_dump',
    database,
    args: [...args, ...lock],
    reader: reader(source.countRows),
    statementTimeout: source.statementTimeout,
    silence: silenceOf(source),
    warnings: [],
  }));
}

/** How long pg_dump may write nothing, in ms. */
export function silenceOf({ format, lockTimeout }: Pick<PostgresSource, 'format' | 'lockTimeout'>): number {
  return silenceWithLocks(lockTimeout, format === 'tar' ? TAR_SILENCE_MS : SILENCE_MS);
}

/**
 * Starts the dump of what all databases of a server share: roles, their memberships and tablespaces.
 * @throws BackupError when it cannot start; nothing is left open by then
 */
export async function dumpGlobals(
  server: PostgresServer,
  source: PostgresSource,
  signal: AbortSignal,
): Promise<Dump> {
  const database = server.maintenanceDatabase;
  return await startDump(server, database, signal, async (session) => {
    const passwords = await mayReadPasswords(session);
    return {
      tool: 'pg_dumpall',
      database,
      args: ['--globals-only', ...(passwords ? [] : ['--no-role-passwords'])],
      reader: scriptReader('database cluster'),
      format: 'pg-globals',
      extension: '.sql',
      statementTimeout: source.statementTimeout,
      silence: SILENCE_MS,
      warnings: passwords ? [] : [NO_PASSWORDS],
    };
  });
}

async function startDump(
  server: PostgresServer,
  database: string,
  signal: AbortSignal,
  orderFor: (session: PostgresSession) => Promise<DumpOrder>,
): Promise<Dump> {
  const reached = await reach(server, signal);
  let session: PostgresSession | undefined;
  try {
    // The tool would find the same obstacles, but cannot tell as well what they are.
    session = await connectThrough(reached, server, database);
    const { version, major } = session;
    const order = await orderFor(session);
    const demand = { folder: server.toolsFolder, atLeast: major, serverVersion: version };
    const tool = await findPostgresTool(order.tool, demand, reached.signal);
    const name = `dbackup-${randomBytes(6).toString('hex')}`;
    const command = await commandOf(order, tool, reached, server, name);
    const watched = await watch(session, name, order.statementTimeout);
    const inspect = (chunk: Buffer) => order.reader.take(chunk);
    const dump = startToolDump(command, reached.signal, inspect, order.silence);
    const proof = prove(dump, order, tool, async () => {
      await watched();
      await reached.close();
    });
    proof.catch(() => undefined);
    return { stream: dump.stream, proof, format: order.format, extension: order.extension, version };
  } catch (error) {
    await session?.close();
    await reached.close();
    throw toBackupError(error);
  }
}

async function commandOf(
  { tool: toolName, database, args }: DumpOrder,
  tool: PostgresTool,
  reached: Reached,
  server: PostgresServer,
  name: string,
): Promise<ToolCommand> {
  const command = {
    program: tool.path,
    args: ['--no-password', ...args, `--dbname=${conninfo(database)}`],
    env: { ...(await libpqEnvironment(reached, server)), PGAPPNAME: name },
    subject: toolName === 'pg_dump' ? `pg_dump of ${database}` : 'pg_dumpall of the globals',
    classify: toolFailure,
  };
  return await withLargeOutput(command, reached.signal);
}

/** Closes the session, now or, when statements must be watched, by the returned function. */
async function watch(session: PostgresSession, name: string, timeout: number): Promise<() => Promise<void>> {
  if (timeout === 0) {
    await session.close();
    return async () => undefined;
  }
  const stop = watchStatements(session, name, timeout);
  return async () => {
    stop();
    await session.close();
  };
}

/** The proof of completeness: the tool ended well, and what it wrote has an end. Nothing is open afterwards. */
async function prove(
  dump: ToolDump,
  { tool: toolName, reader, warnings }: DumpOrder,
  { version }: PostgresTool,
  close: () => Promise<void>,
): Promise<DumpProof> {
  try {
    const stderr = await dump.ended;
    const { statement, facts, tables } = reader.end();
    return {
      statement: `${toolName} ${version}: ${statement}`,
      facts: { toolVersion: version, ...facts },
      ...(tables === undefined ? {} : { tables }),
      warnings: [...warnings, ...toolWarnings(stderr)],
    };
  } finally {
    await close();
  }
}

/** One warning for each that the tool gave, with its details and hints. */
export function toolWarnings(stderr: readonly string[]): string[] {
  const warnings: string[] = [];
  for (const line of stderr) {
    const more = /^\w+: (?:detail|hint): *(.*)$/s.exec(line)?.[1];
    const last = warnings.pop();
    if (last !== undefined && more !== undefined) warnings.push(`${last} (${more})`);
    else warnings.push(...(last === undefined ? [] : [last]), line);
  }
  return warnings;
}
