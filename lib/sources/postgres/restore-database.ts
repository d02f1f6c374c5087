import type { ServerRestoreOptions } from '../server/restore-options.ts';
import type { Archive, ArchiveEntry } from './restore-archive.ts';
import { quoteIdentifier, quoteLiteral, type Statement, statementsOf } from './restore-sql.ts';

/**
 * What makes a database beside its content: encoding and locale, settings, owner, comment, privileges. All of
 * it stands in the head of an archive, with the name of the database that was dumped.
 */
export interface DatabasePlan {
  /** Creates it, from `template0`, with the encoding and locale of the original. */
  create(name: string): string;
  /** Its settings, which the content may need. */
  settings(name: string): string[];
  /** What would be in the way of a restore: owner, privileges, limits. */
  finish(name: string): string[];
  readonly warnings: readonly string[];
}

/** The database that an archive was dumped from. */
export function planOfArchive(
  { entries }: Archive,
  { owners, privileges }: Pick<ServerRestoreOptions, 'owners' | 'privileges'>,
): DatabasePlan {
  const database = entries.find(({ kind }) => kind === 'DATABASE');
  const about = entries.filter(
    ({ tag, dependencies }) =>
      database !== undefined && tag.startsWith('DATABASE ') && dependencies.includes(database.dumpId),
  );
  const properties = statementsIn(entries.filter(({ kind }) => kind === 'DATABASE PROPERTIES'));
  const isSetting = (statement: Statement) => statement.begins('ALTER', 'ROLE') || statement.has('SET');
  const kept = (statement: Statement) => owners || !statement.begins('ALTER', 'ROLE');
  const comments = statementsIn(about.filter(({ kind }) => kind !== 'ACL'));
  const acl = privileges ? statementsIn(about.filter(({ kind }) => kind === 'ACL')) : [];
  const named = (statements: readonly Statement[], name: string) =>
    statements.map((statement) => statement.renamed('DATABASE', name).text);
  return {
    create: (name) => {
      const [create] = database === undefined ? [] : statementsOf(database.definition);
      return create?.renamed('DATABASE', name).text ?? createPlain(name);
    },
    settings: (name) => named(properties.filter(isSetting).filter(kept), name),
    finish: (name) => [
      ...named(comments, name),
      ...named(
        properties.filter((statement) => !isSetting(statement)),
        name,
      ),
      ...(owners && database !== undefined && database.owner !== '' ? [ownerOf(name, database.owner)] : []),
      ...named(acl, name),
    ],
    warnings: properties.every(kept)
      ? []
      : ['The settings that roles have in this database are left out, as the owners are'],
  };
}

/** The database of a script, which says nothing about it but the encoding of its text. */
export function planOfScript(head: string): DatabasePlan {
  const encoding = /^SET client_encoding = '([^']+)';$/m.exec(head)?.[1];
  return {
    create: (name) => createPlain(name, encoding),
    settings: () => [],
    finish: () => [],
    warnings: ['A script does not hold the settings, owner and privileges of the database itself'],
  };
}

function createPlain(name: string, encoding?: string): string {
  const create = `CREATE DATABASE ${quoteIdentifier(name)} WITH TEMPLATE = template0`;
  return encoding === undefined ? create : `${create} ENCODING =${quoteLiteral(encoding)}`;
}

function ownerOf(name: string, owner: string): string {
  return `ALTER DATABASE ${quoteIdentifier(name)} OWNER TO ${quoteIdentifier(owner)}`;
}

function statementsIn(entries: readonly ArchiveEntry[]): Statement[] {
  return entries.flatMap(({ definition }) => statementsOf(definition));
}
