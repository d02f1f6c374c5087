import { BackupError } from '../lib/errors.ts';
import { parseValue } from '../lib/parse.ts';
import { type MysqlServer, mysqlServer } from '../lib/sources/mysql/options.ts';
import { type PostgresServer, postgresServer } from '../lib/sources/postgres/options.ts';

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

/** Parameters of the URL, named as libpq names them, and the settings that they stand for. */
const PARAMETERS: Readonly<Record<string, string>> = {
  host: 'host',
  port: 'port',
  user: 'user',
  sslmode: 'tls',
  sslrootcert: 'caFile',
  sslcert: 'certFile',
  sslkey: 'keyFile',
  connect_timeout: 'connectTimeout',
  tools: 'toolsFolder',
};

const NUMBERS: ReadonlySet<string> = new Set(['port', 'connectTimeout']);

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
  if (kind === undefined || !URL.canParse(text)) throw wrong('it is not a valid URL');
  const url = new URL(text);
  if (url.password !== '' || url.searchParams.has('password')) {
    throw wrong(
      'it holds a password, which other users of this host can see: set DBACKUP_SERVER_PASSWORD or DBACKUP_SERVER_PASSWORD_FILE instead',
    );
  }
  if (url.pathname !== '' && url.pathname !== '/') {
    throw wrong('it names a database: leave that out, and say it with --to');
  }
  if (url.hash !== '') throw wrong('it holds a #');
  const settings = { ...addressOf(url), ...parametersOf(url) };
  if (kind === 'postgres') return { kind, server: checked(parseValue(postgresServer, settings)) };
  return { kind, server: checked(parseValue(mysqlServer, settings)) };
}

function kindOf(text: string): ServerAddress['kind'] | undefined {
  const scheme = /^([a-z]+):\/\//i.exec(text)?.[1]?.toLowerCase() ?? '';
  return Object.hasOwn(KINDS, scheme) ? KINDS[scheme] : undefined;
}

function addressOf({ hostname, port, username }: URL): Record<string, unknown> {
  return {
    ...(hostname === '' ? {} : { host: decoded(hostname.replace(/^\[(.*)\]$/, '$1')) }),
    ...(port === '' ? {} : { port: Number(port) }),
    ...(username === '' ? {} : { user: decoded(username) }),
  };
}

function parametersOf({ searchParams }: URL): Record<string, unknown> {
  const settings: Record<string, unknown> = {};
  for (const [name, value] of searchParams) {
    const setting = Object.hasOwn(PARAMETERS, name) ? PARAMETERS[name] : undefined;
    if (setting === undefined) {
      throw wrong(`its parameter ${name} is not known: there are ${Object.keys(PARAMETERS).join(', ')}`);
    }
    // libpq's word for what is called off here.
    const meant = setting === 'tls' && value === 'disable' ? 'off' : value;
    settings[setting] = NUMBERS.has(setting) ? Number(meant) : meant;
  }
  return settings;
}

function checked<T>(parsed: { ok: true; value: T } | { ok: false; problem: string }): T {
  if (parsed.ok) return parsed.value;
  throw wrong(parsed.problem);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw wrong('it holds a % that is not followed by two hexadecimal digits');
  }
}

function wrong(problem: string): BackupError {
  return new BackupError(
    'invalid-config',
    `The URL of the server is wrong: ${problem}. It looks like postgresql://user@host:5432/?sslmode=require or mysql://user@host:3306/`,
  );
}
