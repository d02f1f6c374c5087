import type { ByteStream } from '../../bytes/stream.ts';
import { BackupError, throwIfAborted, toBackupError } from '../../errors.ts';
import type { DumpProof, RestoreReport } from '../driver.ts';
import type { ServerRestoreOptions } from '../server/restore-options.ts';
import { endClients } from './clients.ts';
import { type DatabaseObjects, listObjects } from './database-objects.ts';
import { DefinitionSession, quoteName } from './definition-session.ts';
import { loadDump } from './load-dump.ts';
import { swapDatabases } from './move-database.ts';
import type { MysqlServer } from './options.ts';
import { fillTables, requireFillable } from './restore-data.ts';
import { DumpFilter } from './restore-filter.ts';
import { keptName, temporaryName } from './restore-names.ts';
import { OBJECT_KINDS, type ObjectKind } from './restore-statement.ts';
import { findMysqlTool, type MysqlTool } from './tools.ts';

/** How long removing what a failed restore has made may take, in ms. */
const CLEAN_UP_MS = 120_000;

/**
 * Refuses what cannot become a restored database.
 * @throws BackupError
 */
export async function checkDatabase(
  server: MysqlServer,
  session: DefinitionSession,
  options: ServerRestoreOptions,
  signal: AbortSignal,
): Promise<void> {
  await findClient(server, session, signal);
  await requirePlace(session, options);
  const trial = temporaryName(options.database);
  try {
    await session.run(`CREATE DATABASE ${quoteName(trial)}`);
  } catch (error) {
    const { code, message, transient } = toBackupError(error);
    throw new BackupError(
      code,
      `${message}. A restore first makes the database ${trial}: grant the user all privileges on databases of such names`,
      { transient, cause: error },
    );
  }
  await session.run(`DROP DATABASE ${quoteName(trial)}`);
}

/**
 * Restores into a database of another name, which takes its place when it is complete.
 * @throws BackupError; what was there is as it was then
 */
export async function restoreDatabase(
  server: MysqlServer,
  session: DefinitionSession,
  options: ServerRestoreOptions,
  raw: ByteStream,
  signal: AbortSignal,
): Promise<RestoreReport> {
  const tool = await findClient(server, session, signal);
  await requirePlace(session, options);
  const temporary = temporaryName(options.database);
  await session.run(`CREATE DATABASE ${quoteName(temporary)}`);
  try {
    const filter = await newFilter(session, options);
    const load = { server, session: session.session, tool, database: temporary, filter };
    const warnings = await loadDump(load, raw, signal);
    throwIfAborted(signal);
    const objects = await listObjects(session, temporary);
    warnings.push(
      ...requireComplete(filter, objects),
      ...viewWarnings(filter, options),
      ...flavourWarnings(options, session, tool),
    );
    // From here on an abort would only leave things half done: the steps take moments, and undo themselves.
    return await takePlace(server, options, temporary, objects, warnings);
  } catch (error) {
    await cleanUp(server, temporary, toBackupError(error));
    throw error;
  }
}

async function takePlace(
  server: MysqlServer,
  options: ServerRestoreOptions,
  temporary: string,
  objects: DatabaseObjects,
  warnings: string[],
): Promise<RestoreReport> {
  const session = await DefinitionSession.open(server, new AbortController().signal, 60);
  try {
    const proof = proofOf(objects, warnings);
    if (options.content === 'data') {
      const { safetyCopy, rows } = await fillTables(session, options, temporary);
      await session.run(`DROP DATABASE ${quoteName(temporary)}`);
      return report(options.database, safetyCopy, { ...proof, facts: { ...proof.facts, rows } });
    }
    const only = requireTables(options, objects);
    const databases = await requirePlace(session, options);
    const exists = databases.includes(options.database);
    const aside = keptName(options.database, new Date(), databases);
    const swap = { restored: temporary, target: options.database, exists, aside };
    warnings.push(...(await swapDatabases(session, only === undefined ? swap : { ...swap, only })));
    if (exists && !options.safetyCopy) await dropPrevious(session, aside, warnings);
    return report(options.database, exists && options.safetyCopy ? aside : undefined, proof);
  } finally {
    await session.close();
  }
}

/** The restored database is in its place by now: what it replaced can only be left over. */
async function dropPrevious(session: DefinitionSession, aside: string, warnings: string[]): Promise<void> {
  try {
    await session.run(`DROP DATABASE ${quoteName(aside)}`);
  } catch (error) {
    const why = toBackupError(error).message;
    warnings.push(`The previous content could not be dropped and is left in the database ${aside}: ${why}`);
  }
}

function report(target: string, safetyCopy: string | undefined, proof: DumpProof): RestoreReport {
  return { target, proof, ...(safetyCopy === undefined ? {} : { safetyCopy }) };
}

function findClient(
  server: MysqlServer,
  { session }: DefinitionSession,
  signal: AbortSignal,
): Promise<MysqlTool> {
  return findMysqlTool('client', { folder: server.toolsFolder, flavour: session.flavour }, signal);
}

/** @returns the names of all databases */
async function requirePlace(session: DefinitionSession, options: ServerRestoreOptions): Promise<string[]> {
  const { database, overwrite, content, tables } = options;
  const rows = await session.rows('SELECT SCHEMA_NAME FROM information_schema.SCHEMATA');
  const names = rows.map(([name]) => name ?? '');
  const exists = names.includes(database);
  if (content === 'data') {
    await requireFillable(session, options, exists);
    return names;
  }
  if (!exists) return names;
  if (overwrite === 'refuse') {
    throw new BackupError(
      'already-exists',
      `The database ${database} exists: restore under another name, or allow it to be replaced`,
    );
  }
  if (tables.length > 0) {
    throw new BackupError(
      'already-exists',
      `The database ${database} exists, and would be replaced by the chosen tables alone: restore them under another name, or restore only data`,
    );
  }
  return names;
}

async function newFilter(session: DefinitionSession, options: ServerRestoreOptions): Promise<DumpFilter> {
  const [[sqlMode, packet] = []] = await session.rows(
    'SELECT @@GLOBAL.sql_mode, @@GLOBAL.max_allowed_packet',
  );
  const tables = new Set(options.tables);
  return new DumpFilter({
    sqlMode: sqlMode ?? '',
    // The command's own byte counts.
    maxStatementBytes: Number(packet) - 1,
    replaceDefiners: !options.owners,
    keepsEvents: options.events ?? true,
    keepsRows: (table) => options.content !== 'schema' && (tables.size === 0 || tables.has(table)),
  });
}

/**
 * Everything that the dump creates is there, or the restore failed, whatever the client says.
 * @returns warnings
 */
function requireComplete(filter: DumpFilter, { names }: DatabaseObjects): string[] {
  const warnings: string[] = [];
  for (const kind of OBJECT_KINDS) {
    const there = names.get(kind) ?? [];
    const wanted = [...filter.created(kind)];
    if (there.length === wanted.length) continue;
    const lower = new Set(there.map((name) => name.toLowerCase()));
    const missing = wanted.filter((name) => !lower.has(name.toLowerCase()));
    const list = missing.length === 0 ? '' : ` (${missing.slice(0, 10).join(', ')})`;
    const message = `The dump creates ${counted(wanted.length, kind)}, but ${there.length} are there${list}`;
    // The server drops an event at once whose time is over.
    if (kind !== 'event') throw new BackupError('incomplete', message);
    warnings.push(`${message}: their time may be over`);
  }
  return warnings;
}

function viewWarnings(
  { original, viewsOfOriginal }: DumpFilter,
  { database }: ServerRestoreOptions,
): string[] {
  if (viewsOfOriginal.size === 0 || original === database) return [];
  const views = [...viewsOfOriginal].join(', ');
  return [
    `The text of these views names the database ${original}, so they read from there and not from ${database}: ${views}`,
  ];
}

function flavourWarnings(
  { jobs }: ServerRestoreOptions,
  { session }: DefinitionSession,
  tool: MysqlTool,
): string[] {
  const warnings: string[] = [];
  if (jobs > 1)
    warnings.push(`A MySQL dump is one stream of statements: it was restored by 1 job, not ${jobs}`);
  if (tool.flavour !== session.flavour) {
    warnings.push(`${session.subject} was restored to with the client of ${tool.flavour} ${tool.version}`);
  }
  return warnings;
}

function requireTables(
  { tables }: ServerRestoreOptions,
  { names }: DatabaseObjects,
): ReadonlySet<string> | undefined {
  if (tables.length === 0) return undefined;
  const there = [
    ...(names.get('table') ?? []),
    ...(names.get('sequence') ?? []),
    ...(names.get('view') ?? []),
  ];
  const missing = tables.filter((table) => !there.includes(table));
  if (missing.length === 0) return new Set(tables);
  throw new BackupError(
    'not-found',
    `The dump has no table ${missing.join(', ')}: choose tables that it has`,
  );
}

function proofOf({ names }: DatabaseObjects, warnings: readonly string[]): DumpProof {
  const counts = OBJECT_KINDS.map((kind) => [kind, names.get(kind)?.length ?? 0] as const);
  const said = counts.filter(([, count]) => count > 0).map(([kind, count]) => counted(count, kind));
  return {
    statement: `every statement succeeded; there are ${said.length === 0 ? 'no tables' : said.join(', ')}`,
    facts: Object.fromEntries(counts.map(([kind, count]) => [FACTS[kind], count])),
    warnings,
  };
}

const FACTS: Record<ObjectKind, string> = {
  table: 'tables',
  sequence: 'sequences',
  view: 'views',
  trigger: 'triggers',
  procedure: 'procedures',
  function: 'functions',
  package: 'packages',
  'package body': 'packageBodies',
  event: 'events',
};

function counted(count: number, kind: ObjectKind): string {
  if (count === 1) return `1 ${kind}`;
  return `${count} ${kind === 'package body' ? 'package bodies' : `${kind}s`}`;
}

/** Removes what was made, with a connection of its own: the first one may be cut. */
async function cleanUp(server: MysqlServer, temporary: string, failure: BackupError): Promise<void> {
  try {
    const session = await DefinitionSession.open(server, AbortSignal.timeout(CLEAN_UP_MS), 60);
    try {
      await endClients(session, temporary);
      await session.run(`DROP DATABASE IF EXISTS ${quoteName(temporary)}`);
    } finally {
      await session.close();
    }
  } catch (error) {
    throw new BackupError(
      failure.code,
      `${failure.message}. The database ${temporary}, which it had begun to fill, could not be removed: drop it (${toBackupError(error).message})`,
      { transient: failure.transient, cause: failure },
    );
  }
}
