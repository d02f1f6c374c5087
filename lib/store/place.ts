import { environmentSecret } from '../destinations/url-settings.ts';
import { BackupError } from '../errors.ts';
import { parseValue } from '../parse.ts';
import { type PostgresServer, postgresServer } from '../sources/postgres/options.ts';
import { readServerUrl } from '../sources/server/server-url.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Where a store is kept. */
export type StorePlace = SqlitePlace | PostgresPlace;

export interface SqlitePlace {
  readonly kind: 'sqlite';
  readonly dataDir: string;
}

export interface PostgresPlace {
  readonly kind: 'postgresql';
  readonly server: PostgresServer;
  readonly database: string;
}

export interface StoreChoice {
  /** What an option of the command line says: it comes before the environment. */
  readonly option?: string | undefined;
  /** What settings.js says: it comes after. */
  readonly setting?: string | undefined;
}

/**
 * Where the store is: in PostgreSQL when `DBACKUP_STORE`, the file that `DBACKUP_STORE_FILE` names, an option or a
 * setting gives a URL, `postgresql://user@host:5432/database`, else SQLite in the data directory. The password comes
 * from `DBACKUP_STORE_PASSWORD`, `DBACKUP_STORE_PASSWORD_FILE` or `PGPASSWORD`; only the secret file may hold it in its
 * URL.
 * @throws BackupError `invalid-config`, without what the URL holds; `not-found`, `permission` for a secret file
 */
export function storePlace(dataDir: string, env: Environment, choice: StoreChoice = {}): StorePlace {
  const { url, secret } = chosenUrl(env, choice);
  if (url === '') return { kind: 'sqlite', dataDir };
  if (!/^postgres(ql)?:\/\//i.test(url)) throw wrong('it is no URL of PostgreSQL');
  const { settings, database, password } = readServerUrl(url, wrong);
  if (password !== '' && !secret) {
    throw wrong(
      'it holds a password: set DBACKUP_STORE_PASSWORD or DBACKUP_STORE_PASSWORD_FILE instead, or put the whole URL into a file that DBACKUP_STORE_FILE names',
    );
  }
  if (database === '') throw wrong('it names no database');
  const parsed = parseValue(postgresServer, {
    ...settings,
    password: password || environmentSecret('DBACKUP_STORE_PASSWORD', env) || env.PGPASSWORD || '',
  });
  if (!parsed.ok) throw wrong(parsed.problem);
  return { kind: 'postgresql', server: parsed.value, database };
}

function chosenUrl(env: Environment, { option, setting }: StoreChoice) {
  if (option !== undefined) return { url: option.trim(), secret: false };
  const direct = env.DBACKUP_STORE?.trim() ?? '';
  const file = env.DBACKUP_STORE_FILE?.trim() ?? '';
  if (direct !== '' && file !== '') {
    throw new BackupError('invalid-config', 'DBACKUP_STORE and DBACKUP_STORE_FILE are both set: keep one');
  }
  if (direct !== '') return { url: direct, secret: false };
  if (file === '') return { url: setting?.trim() ?? '', secret: false };
  const url = environmentSecret('DBACKUP_STORE', env)?.trim() ?? '';
  if (url === '')
    throw new BackupError('invalid-config', `The secret file ${file} of DBACKUP_STORE_FILE is empty`);
  return { url, secret: true };
}

/** What a store is called: without secrets. */
export function describePlace({ server, database }: PostgresPlace): string {
  const { host, port, user } = server;
  const name = `${encodeURIComponent(user)}@${host.startsWith('/') ? encodeURIComponent(host) : host}`;
  return `postgresql://${name}:${port}/${encodeURIComponent(database)}`;
}

function wrong(problem: string): BackupError {
  return new BackupError(
    'invalid-config',
    `The URL of the store is wrong: ${problem}. It looks like postgresql://user@host:5432/database?sslmode=verify-full`,
  );
}
