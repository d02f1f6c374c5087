import type { PostgresSession } from './connect.ts';

/** How many names of a longer list are given. */
const NAMED = 3;

interface Finding {
  readonly count: number;
  readonly names: readonly string[] | null;
}

/** What pg_dump takes: no system schemas, and nothing that an extension brings along. */
const DUMPED = `
  c.relnamespace = n.oid AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
  AND NOT EXISTS (SELECT FROM pg_depend d
                   WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`;

/** Tables are locked, ordinary ones and sequences also read; both need the schema, too. */
const UNREADABLE = listOf(`
  c.relkind IN ('r', 'p', 'S') AND NOT (has_schema_privilege(n.oid, 'USAGE')
    AND CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(c.oid, 'SELECT')
             ELSE has_table_privilege(c.oid, 'SELECT') END)`);

const FILTERED = listOf(`c.relkind IN ('r', 'p') AND row_security_active(c.oid)`);

const LARGE_OBJECTS = `
  SELECT count(*)::int AS count, (array_agg(oid::text ORDER BY oid))[1:${NAMED}] AS names
    FROM pg_largeobject_metadata
   WHERE current_setting('lo_compat_privileges') = 'off'
     AND NOT pg_has_role(lomowner, 'USAGE')
     AND NOT EXISTS (SELECT FROM aclexplode(lomacl)
                      WHERE privilege_type = 'SELECT' AND (grantee = 0 OR pg_has_role(grantee, 'USAGE')))`;

/**
 * What of a database the user may not dump: each makes pg_dump fail.
 * @returns warnings that say what to grant; none for a superuser
 */
export async function missingPrivileges(session: PostgresSession, database: string): Promise<string[]> {
  const [user] = await session.query<{ super: boolean; name: string }>(
    'SELECT rolsuper AS super, rolname AS name FROM pg_roles WHERE rolname = current_user',
  );
  if (user?.super === true) return [];
  const role = user?.name ?? 'the user';
  const [unreadable, filtered, objects] = [
    await session.query<Finding>(UNREADABLE),
    await session.query<Finding>(FILTERED),
    await session.query<Finding>(LARGE_OBJECTS),
  ];
  return [
    ...warn(
      unreadable,
      (found) => `${database}: ${role} may not read ${found}: grant pg_read_all_data to it`,
    ),
    ...warn(
      filtered,
      (found) => `${database}: row security hides rows of ${found} from ${role}: give it BYPASSRLS`,
    ),
    ...warn(
      objects,
      (found) => `${database}: ${role} may not read the large objects ${found}: grant SELECT on each to it`,
    ),
  ];
}

function listOf(condition: string): string {
  return `
    SELECT count(*)::int AS count, (array_agg(name ORDER BY name))[1:${NAMED}] AS names
      FROM (SELECT format('%I.%I', n.nspname, c.relname) AS name
              FROM pg_class c, pg_namespace n
             WHERE ${DUMPED} AND ${condition}) AS found`;
}

function warn([finding]: readonly Finding[], text: (found: string) => string): string[] {
  if (finding === undefined || finding.count === 0) return [];
  const { count, names } = finding;
  const rest = count > NAMED ? ` and ${count - NAMED} more` : '';
  return [text(`${(names ?? []).join(', ')}${rest}`)];
}
