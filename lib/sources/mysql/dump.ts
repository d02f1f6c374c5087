import { BackupError, toBackupError } from '../../errors.ts';
import { withLargeOutput } from '../../tool/large-output.ts';
import { silenceWithLocks } from '../../tool/silence.ts';
import { startToolDump, type ToolDump } from '../../tool/tool-dump.ts';
import type { Dump, DumpProof } from '../driver.ts';
import { connectMysql, type MysqlSession } from './connect.ts';
import { abilitiesOf, dumpArguments, keepsHistoryFrom } from './dump-command.ts';
import { DumpStream } from './dump-stream.ts';
import { DumpText } from './dump-text.ts';
import { toolFailure } from './failures.ts';
import { Grants } from './grants.ts';
import { InsertRowCounter } from './insert-rows.ts';
import { type Inventory, takeInventory } from './inventory.ts';
import { LockWatch } from './lock-watch.ts';
import { type ClientOptionFile, clientOptionFile } from './option-file.ts';
import type { MysqlServer, MysqlSource } from './options.ts';
import { describeGap, missingPrivileges, requirePrivileges } from './privileges.ts';
import { judgeTool, programName, requireDumpable } from './tool-fit.ts';
import { findMysqlTool, type MysqlTool } from './tools.ts';

/** The format's name in manifests: the text that the tool wrote, after a statement of ours. */
export const MYSQL_FORMAT = 'mysql-sql';

/** What is known before the tool starts. */
interface Prepared {
  readonly tool: MysqlTool;
  readonly inventory: Inventory;
  readonly facts: DumpProof['facts'];
  readonly warnings: readonly string[];
}

/**
 * Starts the dump of one database. What a missing privilege or an unfit tool would leave out without a word is
 * refused before.
 * @throws BackupError when it cannot start; nothing is left open by then
 */
export async function dumpDatabase(
  server: MysqlServer,
  source: MysqlSource,
  database: string,
  signal: AbortSignal,
): Promise<Dump> {
  const session = await connectMysql(server, database, signal);
  let optionFile: ClientOptionFile | undefined;
  try {
    const prepared = await prepare(session, server, source, database);
    optionFile = await clientOptionFile(server, session, prepared.tool);
    return await start({ session, optionFile, server, source, database, ...prepared });
  } catch (error) {
    await optionFile?.remove();
    await session.close();
    throw toBackupError(error);
  }
}

async function prepare(
  session: MysqlSession,
  server: MysqlServer,
  source: MysqlSource,
  database: string,
): Promise<Prepared> {
  const { flavour, version, reached } = session;
  await session.query(`SET SESSION lock_wait_timeout = ${source.lockTimeout}`);
  const tool = await findMysqlTool('dump', { folder: server.toolsFolder, flavour }, reached.signal);
  const aboutTool = judgeTool(tool, session);
  const missing = missingPrivileges(session, await Grants.of(session), database, source);
  requirePrivileges(missing, database);
  const inventory = await takeInventory(session, database);
  requireDumpable(tool, session, database, inventory);
  const [[sqlMode] = []] = await session.query('SELECT @@GLOBAL.sql_mode');
  return {
    tool,
    inventory,
    facts: {
      ...inventory.counts,
      flavour,
      serverVersion: version,
      tool: programName(tool),
      toolVersion: tool.version,
      characterSet: inventory.characterSet,
      collation: inventory.collation,
      sqlMode: sqlMode ?? '',
    },
    warnings: [
      ...aboutTool,
      ...missing.map(describeGap),
      ...aboutConsistency(inventory, source),
      ...aboutHistory(inventory, tool, session),
    ],
  };
}

interface Order extends Prepared {
  readonly session: MysqlSession;
  readonly optionFile: ClientOptionFile;
  readonly server: MysqlServer;
  readonly source: MysqlSource;
  readonly database: string;
}

async function start(order: Order): Promise<Dump> {
  const { session, optionFile, source, database, tool, inventory } = order;
  const { signal } = session.reached;
  const abilities = await abilitiesOf(tool, signal);
  const options = dumpArguments(tool, abilities, session, database, inventory, source);
  const command = {
    program: tool.path,
    args: [optionFile.argument, ...options],
    env: optionFile.env,
    subject: `${programName(tool)} of ${database}`,
    classify: (failure: BackupError) => withName(toolFailure(failure), database),
  };
  const text = new DumpText();
  const counter = source.countRows ? new InsertRowCounter() : undefined;
  const inspect = (chunk: Buffer) => {
    // It was read by then: should this process be killed in the hours that follow, no password is left behind.
    if (text.bytes === 0) void optionFile.remove();
    text.take(chunk);
    counter?.take(chunk);
  };
  const silence = silenceWithLocks(source.lockTimeout);
  const dump = startToolDump(await withLargeOutput(command, signal), signal, inspect, silence);
  const watch = abilities.initCommand ? undefined : watchLocks(order, dump);
  const proof = prove(order, dump, { text, counter }, async () => {
    watch?.close();
    await optionFile.remove();
    await session.close();
  });
  proof.catch(() => undefined);
  const stream = new DumpStream(dump.stream, {
    first: defaultsOf(inventory),
    watch,
    explain: (failure) => explain(session, failure),
  });
  return { stream, proof, format: MYSQL_FORMAT, extension: '.sql', version: session.version };
}

function watchLocks({ session, server, source, database }: Order, dump: ToolDump): LockWatch {
  const who = { user: server.user, database };
  return new LockWatch(session, who, source.lockTimeout, (reason) => void dump.stop(reason));
}

/** The proof of completeness: every byte was taken, the tool ended well and said that it was done. */
async function prove(
  { session, tool, inventory, facts, warnings, source }: Order,
  dump: ToolDump,
  { text, counter }: { readonly text: DumpText; readonly counter: InsertRowCounter | undefined },
  close: () => Promise<void>,
): Promise<DumpProof> {
  try {
    const stderr = await dump.ended;
    text.requireEnd();
    requireNoError(stderr);
    const position = source.binlogPosition ? text.binlogPosition() : undefined;
    const { tables, views } = inventory.counts;
    return {
      statement: `${programName(tool)} ${tool.version}: dump completed, ${tables} tables, ${views} views`,
      facts: {
        ...facts,
        ...(position === undefined ? {} : { binlogFile: position.file, binlogPosition: position.position }),
      },
      ...(counter === undefined ? {} : { tables: counter.rows() }),
      warnings: [...warnings, ...stderr],
    };
  } catch (error) {
    throw await explain(session, error);
  } finally {
    await close();
  }
}

/** mariadb-dump quotes the name of a database as a text where it asks for events, and then does not find it. */
function withName(failure: BackupError, database: string): BackupError {
  const { code, message, transient } = failure;
  if (!/['"\\]/.test(database) || !/\b1049\b/.test(message)) return failure;
  const advice = 'mariadb-dump cannot dump the events of a database with a quote or backslash in its name';
  return new BackupError(code, `${message} (${advice}: give it another name, or drop its events)`, {
    transient,
    cause: failure,
  });
}

/** A server that went down does not always make the tool say so; our own session notices. */
async function explain(session: MysqlSession, thrown: unknown): Promise<unknown> {
  if (!(thrown instanceof BackupError) || thrown.code !== 'incomplete' || thrown.transient) return thrown;
  try {
    await session.query('DO 1');
    return thrown;
  } catch (error) {
    const why = toBackupError(error).message;
    return new BackupError('unavailable', `${thrown.message}; ${why}`, { transient: true, cause: thrown });
  }
}

/** There are errors after which the tools go on and end with exit code 0. */
function requireNoError(stderr: readonly string[]): void {
  const error = stderr.find((line) => /^\S+: (?:Error|Couldn't)\b/i.test(line));
  if (error !== undefined) throw new BackupError('incomplete', `The tool left something out: ${error}`);
}

/**
 * What makes the defaults of the database those of the one that the dump is loaded into. It is not named, so
 * that it may be called otherwise.
 */
function defaultsOf({ characterSet, collation }: Inventory): Buffer {
  return Buffer.from(`ALTER DATABASE CHARACTER SET ${characterSet} COLLATE ${collation};\n`);
}

function aboutConsistency({ nonTransactional }: Inventory, { consistency }: MysqlSource): string[] {
  if (consistency === 'lock' || nonTransactional.length === 0) return [];
  const shown = nonTransactional.slice(0, 20).join(', ');
  const more = nonTransactional.length > 20 ? ` and ${nonTransactional.length - 20} more` : '';
  return [
    `Tables of engines without transactions are not from the same moment as the others: ${shown}${more}; choose consistency by locks to make them so`,
  ];
}

function aboutHistory({ hasHistory }: Inventory, tool: MysqlTool, { version }: MysqlSession): string[] {
  if (!hasHistory || (keepsHistoryFrom(tool.version) && keepsHistoryFrom(version))) return [];
  return ['Of system-versioned tables only the current rows are dumped: their history needs MariaDB 10.11'];
}
