import { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { Client, ClientConfig } from 'pg';
import { settled } from '../../abort.ts';
import { abortError, BackupError, throwIfAborted } from '../../errors.ts';
import { type Reached, reach } from '../server/reach.ts';
import { postgresFailure } from './failures.ts';
import type { PostgresServer } from './options.ts';
import { nodeTls, securityOf } from './security.ts';

/** How long a server may take to say goodbye, in ms. */
const CLOSE_MS = 2_000;

/** A connection to one database, to be closed. It is cut when the signal aborts. */
export interface PostgresSession {
  /** Of the server: `15.18`. */
  readonly version: string;
  readonly major: number;
  /** `PostgreSQL server 127.0.0.1:5432`, for errors. */
  readonly subject: string;
  /**
   * Runs one statement, which may take its time. Nothing is on the search path but `pg_catalog`.
   * @throws BackupError
   */
  query<Row extends object>(sql: string, values?: readonly unknown[]): Promise<Row[]>;
  /** Never rejects. */
  close(): Promise<void>;
}

/**
 * Connects to a database of a server, through its tunnel when it has one.
 * @throws BackupError `permission`, `not-found`, `unavailable` …: what to correct
 */
export async function connectPostgres(
  server: PostgresServer,
  database: string,
  signal: AbortSignal,
): Promise<PostgresSession> {
  const reached = await reach(server, signal);
  try {
    const session = await connectThrough(reached, server, database);
    return {
      version: session.version,
      major: session.major,
      subject: session.subject,
      query: (sql, values) => session.query(sql, values),
      close: async () => {
        await session.close();
        await reached.close();
      },
    };
  } catch (error) {
    await reached.close();
    throw error;
  }
}

/**
 * Connects by a way that is open already, and stays so when the session is closed.
 * @throws BackupError as `connectPostgres`
 */
export async function connectThrough(
  reached: Reached,
  server: PostgresServer,
  database: string,
): Promise<PostgresSession> {
  throwIfAborted(reached.signal);
  const security = await securityOf(server);
  const tls = await nodeTls(security, reached.serverName);
  if (security.mode !== 'prefer') return await Session.open(reached, server, database, tls);
  try {
    return await Session.open(reached, server, database, tls);
  } catch (error) {
    if (!isRefusalOfTls(error)) throw error;
    return await Session.open(reached, server, database, false);
  }
}

/** A server without TLS, or one whose pg_hba.conf wants none. */
function isRefusalOfTls(error: unknown): boolean {
  return error instanceof BackupError && /does not support SSL|pg_hba\.conf/.test(error.message);
}

/** What a server is called in errors. */
export function describeServer({ host, port }: { readonly host: string; readonly port: number }): string {
  return `PostgreSQL server ${host.startsWith('/') ? `${host}/.s.PGSQL.${port}` : `${host}:${port}`}`;
}

class Session implements PostgresSession {
  readonly version: string;
  readonly major: number;
  readonly subject: string;
  readonly #client: Client;
  readonly #socket: Socket;
  readonly #signal: AbortSignal;
  readonly #cut: () => void;

  private constructor(client: Client, socket: Socket, cut: () => void, signal: AbortSignal, about: About) {
    this.version = about.version;
    this.major = about.major;
    this.subject = about.subject;
    this.#client = client;
    this.#socket = socket;
    this.#signal = signal;
    this.#cut = cut;
  }

  static async open(
    reached: Reached,
    server: PostgresServer,
    database: string,
    ssl: ConnectionOptions | false,
  ): Promise<Session> {
    const { signal } = reached;
    const subject = describeServer(server);
    const pg = await loadPg();
    const socket = new Socket();
    const cut = () => void socket.destroy();
    const client = new pg.Client(configOf(reached, server, database, ssl, socket));
    // Errors are told by what waits for an answer.
    client.on('error', () => undefined);
    signal.addEventListener('abort', cut, { once: true });
    try {
      throwIfAborted(signal);
      await client.connect();
      return new Session(client, socket, cut, signal, { ...(await firstAnswer(client)), subject });
    } catch (error) {
      signal.removeEventListener('abort', cut);
      cut();
      if (signal.aborted) throw abortError(signal);
      throw postgresFailure(error, subject);
    }
  }

  async query<Row extends object>(sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    throwIfAborted(this.#signal);
    try {
      const { rows } = await this.#client.query<Row>(sql, [...values]);
      return rows;
    } catch (error) {
      if (this.#signal.aborted) throw abortError(this.#signal);
      throw postgresFailure(error, this.subject);
    }
  }

  async close(): Promise<void> {
    this.#signal.removeEventListener('abort', this.#cut);
    await settled(this.#client.end(), CLOSE_MS);
    this.#socket.destroy();
  }
}

interface About {
  readonly version: string;
  readonly major: number;
  readonly subject: string;
}

function configOf(
  reached: Reached,
  server: PostgresServer,
  database: string,
  ssl: ConnectionOptions | false,
  socket: Socket,
): ClientConfig {
  return {
    host: reached.host,
    port: reached.port,
    user: server.user,
    // A function, since the library would look elsewhere for a password that is empty.
    password: () => server.password ?? '',
    database,
    ssl,
    sslnegotiation: 'postgres',
    stream: () => socket,
    connectionTimeoutMillis: server.connectTimeout * 1000,
    application_name: 'dbackup',
    client_encoding: 'UTF8',
  };
}

/**
 * Who answered. Functions and operators that somebody put into a database must not be called by mistake, and
 * limits that a database or role has for its users are none for this work.
 */
async function firstAnswer(client: Client): Promise<Omit<About, 'subject'>> {
  const { rows } = await client.query<{ version: string; number: string }>(
    `SELECT pg_catalog.set_config('search_path', '', false),
            pg_catalog.set_config('statement_timeout', '0', false),
            pg_catalog.set_config('lock_timeout', '0', false),
            pg_catalog.set_config('idle_in_transaction_session_timeout', '0', false),
            pg_catalog.current_setting('server_version') AS version,
            pg_catalog.current_setting('server_version_num') AS number`,
  );
  const [{ version, number } = { version: '', number: '' }] = rows;
  const [text = version] = version.split(' ');
  return { version: text, major: Math.floor(Number(number) / 10_000) };
}

/** The package that speaks PostgreSQL's protocol, loaded when it is needed first. */
async function loadPg(): Promise<typeof import('pg')> {
  try {
    return await import('pg');
  } catch (cause) {
    throw new BackupError('unavailable', 'PostgreSQL needs the package pg: install it with npm install pg', {
      cause,
    });
  }
}
