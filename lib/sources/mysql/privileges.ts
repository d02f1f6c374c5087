import { BackupError } from '../../errors.ts';
import type { MysqlSession } from './connect.ts';
import type { Grants } from './grants.ts';
import type { MysqlSource } from './options.ts';

/** A gap in what the user may do, which leaves something out of a dump. */
export interface MissingPrivilege {
  readonly privilege: string;
  /** What is missing from a dump, or fails. */
  readonly consequence: string;
  /** No complete dump can come of it, so that it is refused. */
  readonly isFatal: boolean;
  /** The statement that gives it. */
  readonly remedy: string;
}

/**
 * What a user lacks for a full dump of a database. Without SELECT or TRIGGER on the whole of it, tables and
 * triggers are hidden: the tool does not know of them and ends with exit code 0.
 */
export function missingPrivileges(
  session: Pick<MysqlSession, 'flavour'>,
  grants: Grants,
  database: string,
  { consistency, binlogPosition }: Pick<MysqlSource, 'consistency' | 'binlogPosition'>,
): MissingPrivilege[] {
  const missing: MissingPrivilege[] = [];
  const need = (privilege: string, consequence: string, isFatal: boolean) => {
    if (grants.hasOn(database, privilege)) return;
    const remedy = `GRANT ${privilege} ON ${quoteName(database)}.* TO ${grants.account}`;
    missing.push({ privilege, consequence, isFatal, remedy });
  };
  need('SELECT', 'tables that it may not read are left out', true);
  need('TRIGGER', 'triggers are left out', true);
  need('EVENT', 'the dump fails at the events', true);
  need('SHOW VIEW', 'the dump fails at the first view', false);
  if (consistency === 'lock') need('LOCK TABLES', 'the dump fails before the first table', true);
  if (!seesRoutines(session, grants, database)) missing.push(noRoutines(session, grants));
  if (binlogPosition) missing.push(...missingForPosition(session, grants));
  return missing;
}

/** @throws BackupError `permission` when no complete dump can come of it */
export function requirePrivileges(missing: readonly MissingPrivilege[], database: string): void {
  const fatal = missing.filter(({ isFatal }) => isFatal);
  if (fatal.length === 0) return;
  const gaps = fatal
    .map(({ privilege, consequence }) => `no ${privilege}, so that ${consequence}`)
    .join('; ');
  const remedies = fatal.map(({ remedy }) => remedy).join('; ');
  throw new BackupError('permission', `The user has ${gaps}: ${database} is not dumped; run ${remedies}`);
}

/** A gap as a warning. */
export function describeGap({ privilege, consequence, remedy }: MissingPrivilege): string {
  return `The user has no ${privilege}, so that ${consequence}; run ${remedy}`;
}

export function quoteName(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}

/**
 * Whether no routine is hidden. Whoever may create, change or run the routines of a database sees them all:
 * should one not be readable, the tool says so and fails.
 */
function seesRoutines({ flavour }: Pick<MysqlSession, 'flavour'>, grants: Grants, database: string): boolean {
  const byRoutine = ['CREATE ROUTINE', 'ALTER ROUTINE', 'EXECUTE'];
  if (byRoutine.some((privilege) => grants.hasOn(database, privilege))) return true;
  if (flavour === 'mysql') return grants.hasGlobal('SELECT') || grants.hasGlobal('SHOW_ROUTINE');
  return (
    grants.hasOnTable('mysql', 'proc', 'SELECT') ||
    grants.hasOn(database, 'SHOW CREATE ROUTINE') ||
    grants.hasGlobal('SHOW CREATE ROUTINE')
  );
}

function noRoutines({ flavour }: Pick<MysqlSession, 'flavour'>, { account }: Grants): MissingPrivilege {
  const consequence = 'procedures and functions that it may not see are left out';
  const grant = flavour === 'mysql' ? 'GRANT SHOW_ROUTINE ON *.*' : 'GRANT SELECT ON mysql.proc';
  return {
    privilege: 'right to see all routines',
    consequence,
    isFatal: false,
    remedy: `${grant} TO ${account}`,
  };
}

/** The position is read while all tables are locked for a moment. */
function missingForPosition({ flavour }: Pick<MysqlSession, 'flavour'>, grants: Grants): MissingPrivilege[] {
  const reads =
    flavour === 'mariadb'
      ? ['BINLOG MONITOR', 'REPLICATION CLIENT', 'SUPER']
      : ['REPLICATION CLIENT', 'SUPER'];
  const missing: MissingPrivilege[] = [];
  const consequence = 'the position in the binary log cannot be read and the dump fails';
  const add = (privilege: string) =>
    missing.push({
      privilege,
      consequence,
      isFatal: true,
      remedy: `GRANT ${privilege} ON *.* TO ${grants.account}`,
    });
  if (!reads.some((privilege) => grants.hasGlobal(privilege))) add(reads[0] ?? '');
  if (!grants.hasGlobal('RELOAD')) add('RELOAD');
  return missing;
}
