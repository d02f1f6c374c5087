import { connect, isIP, type Socket } from 'node:net';
import type { Connection, ConnectionOptions } from 'mysql2/promise';
import { orAbort, settled } from '../../abort.ts';
import { abortError, BackupError, throwIfAborted } from '../../errors.ts';
import { type Reached, reach } from '../server/reach.ts';
import { mysqlFailure } from './failures.ts';
import type { MysqlServer } from './options.ts';
import { type Security, securityOf, sessionTls } from './security.ts';

export type MysqlFlavour = 'mariadb' | 'mysql';

/** A row: its columns in the order of the statement, all as text. */
export type MysqlRow = readonly (string | null)[];

/** How long a server may take to say goodbye, in ms. */
const CLOSE_MS = 2_000;

/** A connection to a server, to be closed. It is cut when the signal aborts. */
export interface MysqlSession {
  readonly flavour: MysqlFlavour;
  /** Of the server: `10.11.19`. */
  readonly version: string;
  /** `MariaDB server 127.0.0.1:3306`, for errors. */
  readonly subject: string;
  /** How the server is reached: the same way is open for tools until the session is closed. */
  readonly reached: Reached;
  readonly security: Security;
  /** Whether this connection uses TLS. */
  readonly encrypted: boolean;
  /** The server's number for this connection. */
  readonly connectionId: number;
  /**
   * Runs one statement, its `?` filled with values.
   * @throws BackupError
   */
  query(sql: string, values?: readonly (string | number)[]): Promise<readonly MysqlRow[]>;
  /** Never rejects. */
  close(): Promise<void>;
}

/**
 * How statements and values are written: `bytes` has one character for each byte, whatever it means, for
 * definitions in a character set of their own.
 */
export type SessionText = 'utf8' | 'bytes';

/**
 * Connects to a server, through its tunnel when it has one. The session has an empty `sql_mode`, UTF-8, and
 * no time limits.
 * @param database to be the default one; undefined: none
 * @throws BackupError `permission`, `not-found`, `unavailable` …: what to correct
 */
export async function connectMysql(
  server: MysqlServer,
  database: string | undefined,
  signal: AbortSignal,
  text: SessionText = 'utf8',
): Promise<MysqlSession> {
  throwIfAborted(signal);
  const security = await securityOf(server);
  const reached = await reach(server, signal);
  try {
    return await connectBy(reached, server, database, security, text);
  } catch (error) {
    await reached.close();
    throw error;
  }
}

/** What a server is called in errors. */
export function describeServer({ host, port }: { readonly host: string; readonly port: number }): string {
  return `MySQL server ${host.startsWith('/') ? host : `${host}:${port}`}`;
}

async function connectBy(
  reached: Reached,
  server: MysqlServer,
  database: string | undefined,
  security: Security,
  text: SessionText,
): Promise<MysqlSession> {
  try {
    return await Session.open(reached, server, database, security, text);
  } catch (error) {
    if (security.mode !== 'prefer' || !hasNoTls(error)) throw error;
    return await Session.open(reached, server, database, { ...security, mode: 'off' }, text);
  }
}

function hasNoTls(error: unknown): boolean {
  const cause = error instanceof BackupError ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause && cause.code === 'HANDSHAKE_NO_SSL_SUPPORT';
}

class Session implements MysqlSession {
  readonly flavour: MysqlFlavour;
  readonly version: string;
  readonly subject: string;
  readonly reached: Reached;
  readonly security: Security;
  readonly encrypted: boolean;
  readonly connectionId: number;
  readonly #connection: Connection;
  readonly #cut: () => void;

  private constructor(connection: Connection, cut: () => void, about: About) {
    this.#connection = connection;
    this.#cut = cut;
    this.flavour = about.flavour;
    this.version = about.version;
    this.subject = about.subject;
    this.reached = about.reached;
    this.security = about.security;
    this.encrypted = about.security.mode !== 'off';
    this.connectionId = connection.threadId;
  }

  static async open(
    reached: Reached,
    server: MysqlServer,
    database: string | undefined,
    security: Security,
    text: SessionText,
  ): Promise<Session> {
    const { signal } = reached;
    const subject = describeServer(server);
    const mysql2 = await loadMysql2();
    const ssl = await sessionTls(security);
    throwIfAborted(signal);
    const socket = openSocket(reached);
    const cut = () => void socket.destroy();
    signal.addEventListener('abort', cut, { once: true });
    try {
      const connection = await mysql2.createConnection({
        ...addressOf(reached),
        stream: () => socket,
        user: server.user,
        password: server.password ?? '',
        connectTimeout: server.connectTimeout * 1000,
        // mysql2 writes by this character set, and what it calls latin1 is one byte for each character.
        charset: text === 'utf8' ? 'utf8mb4_general_ci' : 'latin1_swedish_ci',
        rowsAsArray: true,
        typeCast: (field) => field.string(text === 'utf8' ? 'utf8' : 'latin1'),
        ...(ssl === undefined ? {} : { ssl }),
        ...(database === undefined ? {} : { database }),
      });
      // Told by what waits for an answer.
      connection.on('error', () => undefined);
      // Else mysql2 would follow when the server is told another character set.
      if (text === 'bytes') {
        await connection.query("SET SESSION session_track_system_variables = ''").catch(ignoreUnknown);
      }
      const answer = await firstAnswer(connection);
      return new Session(connection, cut, { ...answer, subject: nameOf(answer, server), reached, security });
    } catch (error) {
      signal.removeEventListener('abort', cut);
      cut();
      if (signal.aborted) throw abortError(signal);
      throw mysqlFailure(error, subject);
    }
  }

  async query(sql: string, values: readonly (string | number)[] = []): Promise<readonly MysqlRow[]> {
    const { signal } = this.reached;
    throwIfAborted(signal);
    try {
      return rowsOf(await orAbort(this.#connection.query(sql, [...values]), signal));
    } catch (error) {
      if (signal.aborted) throw abortError(signal);
      throw mysqlFailure(error, this.subject);
    }
  }

  async close(): Promise<void> {
    this.reached.signal.removeEventListener('abort', this.#cut);
    if (!this.reached.signal.aborted) await settled(this.#connection.end(), CLOSE_MS);
    this.#connection.destroy();
    this.#cut();
    await this.reached.close();
  }
}

interface Answer {
  readonly flavour: MysqlFlavour;
  readonly version: string;
}

interface About extends Answer {
  readonly subject: string;
  readonly reached: Reached;
  readonly security: Security;
}

function openSocket({ host, port, serverName }: Reached): Socket {
  if (host.startsWith('/')) return connect(host);
  const socket = connect(port, host).setNoDelay(true).setKeepAlive(true);
  // Node compares a certificate with this when there is no name to send (RFC 6066 knows no addresses).
  if (isIP(serverName) !== 0) Object.assign(socket, { _host: serverName });
  return socket;
}

/** What the certificate is compared with, and whether a password may be sent in the clear. */
function addressOf({ host, port, serverName }: Reached): ConnectionOptions {
  return host.startsWith('/') ? { socketPath: host } : { host: serverName, port };
}

/** Nothing that a server's settings say about statements may change what ours mean. */
async function firstAnswer(connection: Connection): Promise<Answer> {
  const [[text = ''] = []] = rowsOf(await connection.query('SELECT VERSION()'));
  const flavour = /mariadb/i.test(text ?? '') ? 'mariadb' : 'mysql';
  const limit = flavour === 'mariadb' ? 'max_statement_time' : 'max_execution_time';
  await connection.query("SET NAMES utf8mb4, SESSION sql_mode = '', SESSION sql_quote_show_create = 1");
  // It is silent while a dump goes on; a server may end such sessions after seconds.
  await connection.query('SET SESSION wait_timeout = 604800');
  await connection.query(`SET SESSION ${limit} = 0`).catch(ignoreUnknown);
  // A MariaDB that wants to be taken for an old MySQL says `5.5.5-10.11.19-MariaDB`.
  const version = /^(?:5\.5\.5-)?(\d+(?:\.\d+)*)/.exec(text ?? '')?.[1] ?? '0';
  return { flavour, version };
}

/** Servers from before 2015 know no such settings. */
function ignoreUnknown(error: unknown): void {
  if (!(error instanceof Error && 'errno' in error && error.errno === 1193)) throw error;
}

function rowsOf([result]: readonly unknown[]): readonly MysqlRow[] {
  return Array.isArray(result) ? (result as MysqlRow[]) : [];
}

function nameOf({ flavour }: Answer, server: MysqlServer): string {
  return flavour === 'mariadb' ? describeServer(server).replace('MySQL', 'MariaDB') : describeServer(server);
}

/** The package that speaks the protocol, loaded when it is needed first. */
async function loadMysql2(): Promise<typeof import('mysql2/promise')> {
  try {
    return await import('mysql2/promise');
  } catch (cause) {
    throw new BackupError(
      'unavailable',
      'MySQL and MariaDB need the package mysql2: install it with npm install mysql2',
      { cause },
    );
  }
}
