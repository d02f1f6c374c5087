import { BackupError } from '../../errors.ts';
import type { Archive, ArchiveEntry } from './restore-archive.ts';

/** What can be chosen. */
const CHOOSABLE = ['TABLE', 'FOREIGN TABLE', 'VIEW', 'MATERIALIZED VIEW'];

/** What belongs to a table and comes along with it, named like it. */
const NAMED_ALIKE = ['TABLE DATA', 'MATERIALIZED VIEW DATA', 'STATISTICS DATA', 'ROW SECURITY'];

/** … named `<table> <name>`. It may depend on other tables as well. */
const NAMED_WITHIN = ['DEFAULT', 'CONSTRAINT', 'CHECK CONSTRAINT', 'TRIGGER', 'RULE', 'POLICY'];

/** … with a name of its own, or belonging to something that belongs to it. */
const NAMED_APART = [
  ...[
    'ACL',
    'COMMENT',
    'SECURITY LABEL',
    'SEQUENCE',
    'SEQUENCE OWNED BY',
    'SEQUENCE SET',
    'INDEX',
    'STATISTICS',
  ],
];

/** What joins two of its kind, and comes along when both do. */
const JOINING = ['TABLE ATTACH', 'INDEX ATTACH', 'FK CONSTRAINT'];

/** Names that an error shows. */
const SHOWN = 20;

export interface Selection {
  /** By their dumpId, in the archive's order. */
  readonly entries: readonly number[];
  /** The chosen tables, with their partitions. */
  readonly tables: readonly ArchiveEntry[];
  readonly warnings: readonly string[];
}

/**
 * Chooses tables of an archive with what belongs to them: partitions, data, sequences, constraints, indexes,
 * triggers, privileges. (`pg_restore --table` leaves out all but the data.)
 * @param names `table`, or `schema.table`
 * @param isNew whether the database has nothing yet: then what the tables need comes along too, such as
 *   schemas, types and functions, and foreign keys to other tables are left out
 * @throws BackupError `not-found`, `invalid-config`
 */
export function selectTables(archive: Archive, names: readonly string[], isNew: boolean): Selection {
  const byId = new Map(archive.entries.map((entry) => [entry.dumpId, entry]));
  const tables = withPartitions(
    archive,
    names.map((name) => find(archive, name)),
    byId,
  );
  const chosen = new Set(tables.map(({ dumpId }) => dumpId));
  addDependents(archive, chosen, byId);
  const needed = isNew ? neededBy(archive, chosen, byId) : new Set<number>();
  const joining = archive.entries.filter(({ kind }) => JOINING.includes(kind));
  const warnings: string[] = [];
  for (const entry of joining) {
    const ends = entry.dependencies.filter((id) => byId.has(id));
    if (!isAbout(entry, tables, chosen)) continue;
    const isWhole = ends.every((id) => chosen.has(id) || needed.has(id));
    if (isWhole || (!isNew && entry.kind === 'FK CONSTRAINT')) chosen.add(entry.dumpId);
    else warnings.push(`${entry.kind} ${entry.namespace}.${entry.tag} is left out, since its other table is`);
  }
  addDependents(archive, chosen, byId);
  const entries = archive.entries.filter(({ dumpId }) => chosen.has(dumpId) || needed.has(dumpId));
  return { entries: entries.map(({ dumpId }) => dumpId), tables, warnings };
}

function find({ entries }: Archive, name: string): ArchiveEntry {
  const choosable = entries.filter(({ kind }) => CHOOSABLE.includes(kind));
  const exact = choosable.filter((entry) => fullName(entry) === name);
  const found = exact.length > 0 ? exact : choosable.filter(({ tag }) => tag === name);
  const [first, second] = found;
  if (first === undefined) {
    const known = choosable.slice(0, SHOWN).map(fullName).join(', ');
    const more = choosable.length > SHOWN ? ' …' : '';
    throw new BackupError('not-found', `The dump has no table ${name}; it has ${known}${more}`);
  }
  if (second !== undefined) {
    throw new BackupError(
      'invalid-config',
      `The dump has several tables ${name}, name the schema: ${found.map(fullName).join(', ')}`,
    );
  }
  return first;
}

/** A TABLE ATTACH is named like the partition, and depends on it and on its parent. */
function withPartitions(
  { entries }: Archive,
  chosen: readonly ArchiveEntry[],
  byId: ReadonlyMap<number, ArchiveEntry>,
): ArchiveEntry[] {
  const attached = entries.filter(({ kind }) => kind === 'TABLE ATTACH');
  const all = new Set(chosen);
  for (let before = -1; before !== all.size; ) {
    before = all.size;
    for (const { dependencies, namespace, tag } of attached) {
      const ends = dependencies.flatMap((id) => byId.get(id) ?? []);
      const child = ends.find((end) => end.namespace === namespace && end.tag === tag);
      const parent = ends.find((end) => end !== child);
      if (child !== undefined && parent !== undefined && all.has(parent)) all.add(child);
    }
  }
  return [...all];
}

/** Adds what belongs to what is chosen, and to that again. */
function addDependents(
  { entries }: Archive,
  chosen: Set<number>,
  byId: ReadonlyMap<number, ArchiveEntry>,
): void {
  for (let before = -1; before !== chosen.size; ) {
    before = chosen.size;
    for (const entry of entries) {
      const owners = entry.dependencies.filter((id) => chosen.has(id)).flatMap((id) => byId.get(id) ?? []);
      if (owners.some((owner) => belongs(entry, owner))) chosen.add(entry.dumpId);
    }
  }
}

/** Whether an entry belongs to another one that it depends on. */
function belongs({ kind, namespace, tag }: ArchiveEntry, owner: ArchiveEntry): boolean {
  if (NAMED_APART.includes(kind)) return true;
  if (namespace !== owner.namespace) return false;
  if (NAMED_ALIKE.includes(kind)) return tag === owner.tag;
  return NAMED_WITHIN.includes(kind) && tag.startsWith(`${owner.tag} `);
}

/** All that these need, and where their sequences stand, but not what belongs to other tables. */
function neededBy(
  { entries }: Archive,
  chosen: ReadonlySet<number>,
  byId: ReadonlyMap<number, ArchiveEntry>,
): Set<number> {
  const needed = new Set<number>();
  const open = [...chosen];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    for (const dependency of byId.get(id)?.dependencies ?? []) {
      if (!byId.has(dependency) || chosen.has(dependency) || needed.has(dependency)) continue;
      needed.add(dependency);
      open.push(dependency);
    }
  }
  for (const { kind, dumpId, dependencies } of entries) {
    if (kind === 'SEQUENCE SET' && dependencies.some((id) => needed.has(id))) needed.add(dumpId);
  }
  return needed;
}

/** Whether a joining entry is part of one of the chosen tables, or joins their indexes. */
function isAbout(
  { kind, namespace, tag, dependencies }: ArchiveEntry,
  tables: readonly ArchiveEntry[],
  chosen: ReadonlySet<number>,
): boolean {
  if (kind === 'INDEX ATTACH') return dependencies.some((id) => chosen.has(id));
  return tables.some(
    (table) => table.namespace === namespace && (tag === table.tag || tag.startsWith(`${table.tag} `)),
  );
}

function fullName({ namespace, tag }: ArchiveEntry): string {
  return `${namespace}.${tag}`;
}
