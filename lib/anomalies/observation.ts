import { isStored, type Manifest } from '../backupset/manifest.ts';

/** What a manifest tells of a backup that can be compared with others of its job. */
export interface Observation {
  /** From the beginning of the run's dumps to the end of the set, in ms. */
  readonly durationMs: number;
  /** By what tells them apart in the sets of a job. */
  readonly databases: ReadonlyMap<string, ObservedDatabase>;
  /** Keys of databases that were wanted, and failed. */
  readonly failed: ReadonlySet<string>;
}

export interface ObservedDatabase {
  /** As the source names it. */
  readonly name: string;
  /** As it was dumped, before compression. */
  readonly rawBytes: number;
  /** Rows by table; absent when they were not counted. */
  readonly tables?: ReadonlyMap<string, number>;
}

/** Looks at what a set holds. */
export function observe({ startedAt, finishedAt, artifacts }: Manifest): Observation {
  const databases = new Map<string, ObservedDatabase>();
  const failed = new Set<string>();
  const seen = new Map<string, number>();
  for (const artifact of artifacts) {
    const { source, database } = artifact;
    const name = `${source} ${database}`;
    const nth = (seen.get(name) ?? 0) + 1;
    seen.set(name, nth);
    // Two servers of a job may have a database of the same name: their places in the set tell them apart.
    const key = `${name} ${nth}`;
    if (!isStored(artifact)) {
      failed.add(key);
      continue;
    }
    const { raw, tables } = artifact;
    databases.set(key, {
      name: database,
      rawBytes: raw.bytes,
      ...(tables === undefined ? {} : { tables: new Map(tables.map((table) => [table.name, table.rows])) }),
    });
  }
  return { durationMs: Math.max(0, Date.parse(finishedAt) - Date.parse(startedAt)), databases, failed };
}
