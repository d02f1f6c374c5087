import { once } from 'node:events';
import { closeSync, ftruncateSync, openSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { BackupError, toBackupError } from '../../errors.ts';
import { type Connection, openSource, pragmaNumber, pragmaText, sqliteVersion } from './connection.ts';
import { copyInTurns } from './copy-in-turns.ts';
import { sqliteFailure } from './failures.ts';
import { inspect } from './inspect.ts';
import { lockForReplacing } from './lock.ts';
import { backUpOnline } from './online-backup.ts';
import type {
  AnsweredReply,
  AskRequest,
  DumpRequest,
  ProbedFile,
  SqliteReply,
  SqliteRequest,
} from './protocol.ts';
import { holdSnapshot, type Snapshot } from './snapshot.ts';
import { createSpoolFolder, requireSpace } from './spool.ts';

/**
 * What the thread that works with SQLite tells the main thread of the child process: SQLite's calls block,
 * and the main thread must go on moving bytes and notice when the host goes away.
 */
export type WorkerReply = SqliteReply | OpenedReply;

/** The moment to dump is fixed. The thread keeps it until it gets a message. */
export interface OpenedReply {
  readonly type: 'opened';
  readonly pages: number;
  readonly pageSize: number;
  readonly version: string;
  /** Where the bytes are: in the database's own files, or in a copy. */
  readonly from: { readonly snapshot: Snapshot } | { readonly spool: string };
}

type Reply = (message: WorkerReply) => void;

/** What the dump reads: a connection that is garbage is closed, and its files with it. */
const held: Connection[] = [];

if (parentPort !== null) await serve(parentPort, workerData as SqliteRequest);

async function serve(port: MessagePort, request: SqliteRequest): Promise<void> {
  const reply: Reply = (message) => port.postMessage(message);
  try {
    await perform(port, request, reply);
  } catch (error) {
    const { code, message, transient } = failureOf(error, request);
    reply({ type: 'failed', code, message, transient });
    // The process ends with that. Were this thread to end first, it would close files that the other one still reads.
    await once(port, 'message');
  }
  port.close();
}

function failureOf(error: unknown, request: SqliteRequest): BackupError {
  return 'file' in request ? sqliteFailure(error, request.file) : toBackupError(error);
}

async function perform(port: MessagePort, request: SqliteRequest, reply: Reply): Promise<void> {
  switch (request.task) {
    case 'probe': {
      const files = request.files.map((file) => probe(file, request.busyTimeoutMs));
      return reply({ type: 'probed', version: sqliteVersion(), files });
    }
    case 'verify': {
      const { connection } = openSource(request.file, 0);
      const inspection = inspect(connection, request.file, {
        check: 'integrity_check',
        countRows: true,
      });
      connection.close();
      return reply({ type: 'checked', inspection, spooled: false });
    }
    case 'ask':
      return reply({ type: 'answered', answers: answersOf(request) });
    case 'lock':
      reply({ type: 'locked', ...lockForReplacing(request) });
      await once(port, 'message');
      return;
    case 'dump':
      return await dump(port, request, reply);
  }
}

function answersOf({ file, statements }: AskRequest): AnsweredReply['answers'] {
  const { connection } = openSource(file, 0);
  const answers = statements.map((statement) => answerOf(connection, statement, file));
  connection.close();
  return answers;
}

/** The connection is read-only: a statement that writes is an error. */
function answerOf(connection: Connection, sql: string, file: string): AnsweredReply['answers'][number] {
  try {
    const statement = connection.prepare(sql);
    if (!statement.reader) return { error: 'it is no statement that reads' };
    const value = statement.pluck().safeIntegers().get();
    if (value === undefined) return {};
    if (value === null) return { value: null };
    return { value: value instanceof Uint8Array ? Buffer.from(value).toString('hex') : String(value) };
  } catch (error) {
    const { code, transient } = sqliteFailure(error, file);
    // A disk that is full, or out of order, says nothing about the data.
    if (transient || code === 'no-space') throw error;
    return { error: toBackupError(error).message };
  }
}

function probe(file: string, busyTimeoutMs: number): ProbedFile {
  try {
    const { connection } = openSource(file, busyTimeoutMs);
    const bytes = sizeOf(connection);
    connection.close();
    return { file, bytes };
  } catch (error) {
    const { code, message, transient } = sqliteFailure(error, file);
    return { file, bytes: 0, problem: { code, message, transient } };
  }
}

async function dump(port: MessagePort, request: DumpRequest, reply: Reply): Promise<void> {
  const source = openSource(request.file, request.busyTimeoutMs);
  const snapshot =
    request.method === 'auto' ? holdSnapshot(source.connection, request.busyTimeoutMs) : undefined;
  const warnings = [...source.warnings];
  if (snapshot === undefined && request.method === 'auto' && isWal(source.connection)) {
    warnings.push(`${request.file} could not be streamed from its own files, so a temporary copy was made`);
  }
  const connection = snapshot ? source.connection : await copyToSpool(source.connection, request);
  held.push(connection);
  reply({
    type: 'opened',
    pages: pragmaNumber(connection, 'page_count'),
    pageSize: pragmaNumber(connection, 'page_size'),
    version: sqliteVersion(),
    from: snapshot ? { snapshot } : { spool: connection.name },
  });
  const inspection = inspect(connection, request.file, {
    check: 'quick_check',
    countRows: request.countRows,
  });
  reply({
    type: 'checked',
    inspection: { ...inspection, warnings: [...warnings, ...inspection.warnings] },
    spooled: snapshot === undefined,
  });
  await once(port, 'message');
  connection.close();
}

/** Copies the database into a new private folder and returns a connection that reads the copy. */
async function copyToSpool(source: Connection, request: DumpRequest): Promise<Connection> {
  const { file, spoolFolder } = request;
  try {
    createSpoolFolder(spoolFolder);
    requireSpace(spoolFolder, sizeOf(source));
    const spool = join(spoolFolder, 'spool.sqlite');
    await copyTo(spool, source, request);
    source.close();
    return openSource(spool, 0).connection;
  } catch (error) {
    const failure = sqliteFailure(error, file);
    if (failure.code !== 'no-space' || error === failure) throw failure;
    throw new BackupError(
      'no-space',
      `The spool folder ${dirname(spoolFolder)} ran full while ${file} was copied`,
      { cause: error },
    );
  }
}

async function copyTo(spool: string, source: Connection, request: DumpRequest): Promise<void> {
  const { method, pagesPerStep, busyTimeoutMs, spoolFolder } = request;
  const descriptor = openSync(spool, 'wx', 0o600);
  try {
    if (method === 'auto' && !isWal(source)) {
      const target = { descriptor, folder: spoolFolder };
      if (copyInTurns(source, target, pagesPerStep, busyTimeoutMs)) return;
      ftruncateSync(descriptor, 0);
    }
  } finally {
    // Before SQLite opens it: closing a descriptor would drop its locks.
    closeSync(descriptor);
  }
  await backUpOnline(source, spool, pagesPerStep, busyTimeoutMs);
}

function sizeOf(connection: Connection): number {
  return pragmaNumber(connection, 'page_count') * pragmaNumber(connection, 'page_size');
}

function isWal(connection: Connection): boolean {
  return pragmaText(connection, 'journal_mode') === 'wal';
}
