import { BackupError } from '../../errors.ts';
import type { MysqlRow, MysqlSession } from './connect.ts';
import { quoteName } from './privileges.ts';

/** A user or a role of a server. */
export interface Account {
  /** As statements name it: `` `shop`@`%` ``, or without a host for a role of MariaDB. */
  readonly name: string;
  /** A role of MariaDB, which is no user. */
  readonly isRole: boolean;
}

/** Accounts that each server has for itself. */
const OF_THE_SYSTEM = ['mysql.sys', 'mysql.session', 'mysql.infoschema', 'mariadb.sys'];

/** Whether the user may read what is needed to dump users and grants. */
export async function mayReadAccounts(session: MysqlSession): Promise<boolean> {
  try {
    await session.query('SELECT 1 FROM mysql.user LIMIT 1');
    await session.query('SELECT 1 FROM mysql.db LIMIT 1');
    return true;
  } catch (error) {
    if (error instanceof BackupError && error.code === 'permission') return false;
    throw error;
  }
}

/** All accounts but the system's own, in an order in which each can be created: roles before their users. */
export async function listAccounts(session: MysqlSession): Promise<Account[]> {
  return session.flavour === 'mariadb' ? accountsOfMariadb(session) : accountsOfMysql(session);
}

/** What an account is made of, each statement without its `;`. */
export interface AccountStatements {
  readonly create: string;
  /** What it may do, and its default role. */
  readonly grants: readonly string[];
}

/**
 * The statements that make an account.
 * @returns undefined when the server does not know it: it was dropped, or MariaDB ignores accounts whose host
 *   is a name (`skip_name_resolve`)
 */
export async function statementsFor(
  session: MysqlSession,
  { name, isRole }: Account,
): Promise<AccountStatements | undefined> {
  try {
    const create = isRole ? `CREATE ROLE IF NOT EXISTS ${name}` : await createStatement(session, name);
    const lines = firstColumn(await session.query(`SHOW GRANTS FOR ${name}`));
    return { create, grants: lines.map((line) => withoutCredentials(line, name)) };
  } catch (error) {
    if (error instanceof BackupError && error.code === 'not-found') return undefined;
    throw error;
  }
}

async function createStatement(session: MysqlSession, name: string): Promise<string> {
  const [create = ''] = firstColumn(await session.query(`SHOW CREATE USER ${name}`));
  return create.replace(/^CREATE USER /, 'CREATE USER IF NOT EXISTS ');
}

/**
 * MariaDB repeats password and limits in the first GRANT, which would change those of a user that exists.
 * They are in CREATE USER.
 */
export function withoutCredentials(grant: string, account: string): string {
  const to = ` TO ${account}`;
  const at = grant.indexOf(to);
  if (!grant.startsWith('GRANT ') || at === -1) return grant;
  const rest = grant.slice(at + to.length);
  const option = / WITH (?:.* )?(GRANT|ADMIN) OPTION\b/.exec(rest)?.[1];
  return `${grant.slice(0, at + to.length)}${option === undefined ? '' : ` WITH ${option} OPTION`}`;
}

async function accountsOfMariadb(session: MysqlSession): Promise<Account[]> {
  const rows = await session.query(
    'SELECT user, host, is_role FROM mysql.user ORDER BY is_role DESC, user, host',
  );
  return rows
    .filter(isOurs)
    .map(([user, host, isRole]) =>
      isRole === 'Y'
        ? { name: quoteName(user ?? ''), isRole: true }
        : { name: `${quoteName(user ?? '')}@${quoteName(host ?? '')}`, isRole: false },
    );
}

/** MySQL's roles are users. CREATE USER names the default roles, which must be there by then. */
async function accountsOfMysql(session: MysqlSession): Promise<Account[]> {
  const rows = (await session.query('SELECT user, host FROM mysql.user ORDER BY user, host')).filter(isOurs);
  const nameOf = (user: string | null | undefined, host: string | null | undefined) =>
    `${quoteName(user ?? '')}@${quoteName(host ?? '')}`;
  const needs = new Map<string, string[]>();
  for (const [user, host, roleUser, roleHost] of await defaultRoles(session)) {
    const name = nameOf(user, host);
    needs.set(name, [...(needs.get(name) ?? []), nameOf(roleUser, roleHost)]);
  }
  const names = rows.map(([user, host]) => nameOf(user, host));
  return inOrder(names, needs).map((name) => ({ name, isRole: false }));
}

/** Servers before MySQL 8.0 have no roles. */
async function defaultRoles(session: MysqlSession): Promise<readonly MysqlRow[]> {
  if (session.version.startsWith('5.')) return [];
  return session.query('SELECT user, host, default_role_user, default_role_host FROM mysql.default_roles');
}

/** Each name after those that it needs; the others stay where they are. */
export function inOrder(names: readonly string[], needs: ReadonlyMap<string, readonly string[]>): string[] {
  const placed = new Set<string>();
  const place = (name: string, above: readonly string[]) => {
    if (placed.has(name) || above.includes(name)) return;
    for (const needed of needs.get(name) ?? []) if (names.includes(needed)) place(needed, [...above, name]);
    placed.add(name);
  };
  for (const name of names) place(name, []);
  return [...placed];
}

/** `PUBLIC` is a role that every MariaDB from 10.11 on has. */
function isOurs([user]: MysqlRow): boolean {
  return !OF_THE_SYSTEM.includes(user ?? '') && user !== 'PUBLIC';
}

function firstColumn(rows: readonly MysqlRow[]): string[] {
  return rows.map(([text]) => text ?? '');
}
