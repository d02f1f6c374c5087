import { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { Pool, PoolConfig } from 'pg';
import { settled } from '../abort.ts';
import { BackupError } from '../errors.ts';
import type { PostgresServer } from '../sources/postgres/options.ts';
import { nodeTls, securityOf } from '../sources/postgres/security.ts';

/** Connections of one process. Its queries are short. */
const MAX_CONNECTIONS = 4;
/** Before the first probe of a connection that is idle, in ms. */
const KEEP_ALIVE_MS = 10_000;
/** How long a server may take to say goodbye, in ms. */
const CLOSE_MS = 2_000;

/** Types of PostgreSQL whose values are numbers here: sizes in bytes, their sums and counts are below 2^53. */
const NUMBERS: ReadonlySet<number> = new Set([20, 1700]);

/**
 * What else lies in the database is never called by mistake, and limits that it or the role has for its users are none
 * for this work.
 */
const SESSION = `SELECT pg_catalog.set_config('search_path', '', false),
  pg_catalog.set_config('statement_timeout', '0', false),
  pg_catalog.set_config('lock_timeout', '0', false),
  pg_catalog.set_config('idle_in_transaction_session_timeout', '0', false)`;

export interface PoolOptions {
  readonly server: PostgresServer;
  readonly database: string;
  /** A connection on which nothing comes for so long is cut, in ms; 0: never. */
  readonly silenceMs: number;
  readonly connections?: number;
}

/** Connections to one database, made when they are needed. One that breaks is told by who uses it. */
export interface OpenPool {
  readonly pool: Pool;
  /** Never rejects. */
  close(): Promise<void>;
}

/**
 * Connects to a database.
 * @throws BackupError, or the library's error when the server cannot be reached
 */
export async function openPool(options: PoolOptions): Promise<OpenPool> {
  const security = await securityOf(options.server);
  const tls = await nodeTls(security, options.server.host);
  if (security.mode !== 'prefer') return await tryPool(options, tls);
  try {
    return await tryPool(options, tls);
  } catch (error) {
    if (!isRefusalOfTls(error)) throw error;
    return await tryPool(options, false);
  }
}

async function tryPool(options: PoolOptions, tls: ConnectionOptions | false): Promise<OpenPool> {
  const { Pool, types } = await loadPg();
  const getTypeParser: typeof types.getTypeParser = (type, format) =>
    NUMBERS.has(type) ? Number : types.getTypeParser(type, format);
  const sockets = new Set<Socket>();
  const pool = new Pool({ ...poolConfig(options, tls, sockets), types: { getTypeParser } });
  // A connection that breaks while nobody uses it, and one that breaks between two statements: nobody else listens.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => void client.on('error', () => undefined));
  const close = async () => {
    await settled(pool.end(), CLOSE_MS);
    for (const socket of sockets) socket.destroy();
  };
  try {
    (await pool.connect()).release();
    return { pool, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function poolConfig(
  { server, database, silenceMs, connections }: PoolOptions,
  ssl: ConnectionOptions | false,
  sockets: Set<Socket>,
): PoolConfig {
  return {
    host: server.host,
    port: server.port,
    user: server.user,
    // A function, since the library would look elsewhere for a password that is empty.
    password: () => server.password ?? '',
    database,
    ssl,
    stream: () => watchedSocket(silenceMs, sockets),
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    max: connections ?? MAX_CONNECTIONS,
    connectionTimeoutMillis: server.connectTimeout * 1000,
    application_name: 'dbackup store',
    client_encoding: 'UTF8',
    onConnect: (client) => client.query(SESSION).then(() => undefined),
  };
}

/** A server that is gone without a word, as behind a cable that was pulled, must not hold a backup up for ever. */
function watchedSocket(silenceMs: number, sockets: Set<Socket>): Socket {
  const socket = new Socket();
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
  socket.setTimeout(silenceMs, () => {
    const seconds = silenceMs / 1000;
    socket.destroy(Object.assign(new Error(`it has not answered for ${seconds} s`), { code: 'ETIMEDOUT' }));
  });
  return socket;
}

/** A server without TLS, or one whose pg_hba.conf wants none. */
function isRefusalOfTls(error: unknown): boolean {
  return error instanceof Error && /does not support SSL|pg_hba\.conf/.test(error.message);
}

async function loadPg(): Promise<typeof import('pg')> {
  try {
    return await import('pg');
  } catch (cause) {
    throw new BackupError(
      'unavailable',
      'A store in PostgreSQL needs the package pg: install it with npm install pg',
      { cause },
    );
  }
}
