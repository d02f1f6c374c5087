import { BackupError } from '../lib/errors.ts';
import { parseValue } from '../lib/parse.ts';
import { type MysqlServer, mysqlServer } from '../lib/sources/mysql/options.ts';
import { type PostgresServer, postgresServer } from '../lib/sources/postgres/options.ts';
import { readServerUrl } from '../lib/sources/server/server-url.ts';

/** A server without its password, which is never part of a command line. */
export type ServerAddress =
  | { readonly kind: 'postgres'; readonly server: PostgresServer }
  | { readonly kind: 'mysql'; readonly server: MysqlServer };

const KINDS: Readonly<Record<string, ServerAddress['kind']>> = {
  postgresql: 'postgres',
  postgres: 'postgres',
  mysql: 'mysql',
  mariadb: 'mysql',
};

/** True for a text with the scheme of a database server. */
export function isServerUrl(text: string): boolean {
  return kindOf(text) !== undefined;
}

/**
 * Reads `postgresql://user@host:5432/?sslmode=require` and `mysql://…`.
 * @throws BackupError `invalid-config`; what the URL holds is not repeated, since it may be a secret
 */
export function parseServerUrl(text: string): ServerAddress {
  const kind = kindOf(text);
  if (kind === undefined) throw wrong('it is not a valid URL');
  const { settings, database, password } = readServerUrl(text, wrong);
  if (password !== '') {
    throw wrong(
      'it holds a password, which other users of this host can see: set DBACKUP_SERVER_PASSWORD or DBACKUP_SERVER_PASSWORD_FILE instead',
    );
  }
  if (database !== '') throw wrong('it names a database: leave that out, and say it with --to');
  if (kind === 'postgres') return { kind, server: checked(parseValue(postgresServer, settings)) };
  return { kind, server: checked(parseValue(mysqlServer, settings)) };
}

function kindOf(text: string): ServerAddress['kind'] | undefined {
  const scheme = /^([a-z]+):\/\//i.exec(text)?.[1]?.toLowerCase() ?? '';
  return Object.hasOwn(KINDS, scheme) ? KINDS[scheme] : undefined;
}

function checked<T>(parsed: { ok: true; value: T } | { ok: false; problem: string }): T {
  if (parsed.ok) return parsed.value;
  throw wrong(parsed.problem);
}

function wrong(problem: string): BackupError {
  return new BackupError(
    'invalid-config',
    `The URL of the server is wrong: ${problem}. It looks like postgresql://user@host:5432/?sslmode=require or mysql://user@host:3306/`,
  );
}
