import type { MysqlSession } from './connect.ts';

/** A privilege as SHOW GRANTS names it: `SELECT`, `SHOW VIEW`, `SHOW_ROUTINE`. */
export type Privilege = string;

interface Grant {
  readonly privileges: ReadonlySet<Privilege>;
  /** Undefined: all databases. */
  readonly database: ((name: string) => boolean) | undefined;
  /** Undefined: everything in it. */
  readonly table: string | undefined;
  /** Taken away again: MySQL's partial revokes. */
  readonly revoked: boolean;
}

/** Every static privilege at once. MySQL's dynamic ones have names of their own and are granted by name. */
const ALL = 'ALL PRIVILEGES';

/** What the user of a session may do, its roles included. */
export class Grants {
  /** The account, as statements name it: `'backup'@'%'`. */
  readonly account: string;
  readonly #grants: readonly Grant[];

  /** @param lines as SHOW GRANTS gives them */
  constructor(account: string, lines: readonly string[]) {
    this.account = account;
    this.#grants = lines.flatMap((line) => parseGrant(line) ?? []);
  }

  static async of(session: MysqlSession): Promise<Grants> {
    const [[user = ''] = []] = await session.query('SELECT CURRENT_USER()');
    // With `FOR CURRENT_USER` MariaDB would leave out what its role gives.
    const rows = await session.query('SHOW GRANTS');
    return new Grants(
      quotedAccount(user ?? ''),
      rows.map(([line]) => line ?? ''),
    );
  }

  /** Whether it holds for all databases. */
  hasGlobal(privilege: Privilege): boolean {
    return this.#grants.some((grant) => grant.database === undefined && gives(grant, privilege));
  }

  /** Whether it holds for a whole database, so that nothing in there is hidden from the user. */
  hasOn(database: string, privilege: Privilege): boolean {
    const about = this.#grants.filter((grant) => grant.table === undefined && covers(grant, database));
    if (about.some((grant) => grant.revoked && grant.privileges.has(privilege))) return false;
    return about.some((grant) => gives(grant, privilege));
  }

  /** Whether it holds for one table. */
  hasOnTable(database: string, table: string, privilege: Privilege): boolean {
    if (this.hasOn(database, privilege)) return true;
    return this.#grants.some(
      (grant) => grant.table === table && covers(grant, database) && gives(grant, privilege),
    );
  }
}

/** `name@host`, where the name may hold an @ and the host does not. */
function quotedAccount(text: string): string {
  const at = text.lastIndexOf('@');
  const quoted = (part: string) => `'${part.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  return `${quoted(text.slice(0, at))}@${quoted(text.slice(at + 1))}`;
}

function gives({ privileges, revoked }: Grant, privilege: Privilege): boolean {
  return !revoked && (privileges.has(privilege) || (privileges.has(ALL) && !privilege.includes('_')));
}

function covers({ database }: Grant, name: string): boolean {
  return database === undefined || database(name);
}

const NAME = '`(?:[^`]|``)*`';
const LINE = new RegExp(`^(GRANT|REVOKE) (.+?) ON (?:TABLE )?(\\*|${NAME})\\.(\\*|${NAME}) (?:TO|FROM) `);

/** A line of SHOW GRANTS; undefined for one about roles, routines or proxies. */
function parseGrant(line: string): Grant | undefined {
  const found = LINE.exec(line);
  if (found === null) return undefined;
  const [, verb, privileges = '', database = '*', table = '*'] = found;
  return {
    privileges: new Set(privileges.split(',').map((privilege) => privilege.trim())),
    database: database === '*' ? undefined : matcher(unquoted(database), table === '*'),
    table: table === '*' ? undefined : unquoted(table),
    revoked: verb === 'REVOKE',
  };
}

function unquoted(name: string): string {
  return name.slice(1, -1).replaceAll('``', '`');
}

/** For a whole database the name is a pattern: `%` and `_`, unless there is a backslash before them. */
function matcher(text: string, isPattern: boolean): (name: string) => boolean {
  if (!isPattern) return (name) => name === text;
  const source = text.replace(/\\[%_]|./gsu, (part) => {
    if (part === '%') return '[^]*';
    if (part === '_') return '[^]';
    return part.replace(/^\\(?=[%_])/, '').replace(/[$()*+./?[\\\]^{|}]/, '\\$&');
  });
  const pattern = new RegExp(`^${source}$`, 'u');
  return (name) => pattern.test(name);
}
