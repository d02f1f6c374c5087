/** What of a database is put back. */
export const RESTORE_CONTENTS = ['all', 'schema', 'data'] as const;

export type RestoreContent = (typeof RESTORE_CONTENTS)[number];

/** How a dump goes back into a database server: the same for every engine. */
export interface ServerRestoreOptions {
  /** The database to create or replace. */
  readonly database: string;
  /** Format of the raw bytes, as the dump named it. */
  readonly format: string;
  /** Version of the server that was dumped. */
  readonly engineVersion: string;
  /** What to do when the database exists. */
  readonly overwrite: 'refuse' | 'replace';
  /** Keep what is replaced, under a name that tells when. */
  readonly safetyCopy: boolean;
  readonly content: RestoreContent;
  /** Only these tables (`table` or `schema.table`); empty: everything. */
  readonly tables: readonly string[];
  /** Give objects back to the roles that owned them. */
  readonly owners: boolean;
  /** Give back who may do what. */
  readonly privileges: boolean;
  /** MySQL and MariaDB: give back the events, which a server runs by itself; absent: yes. */
  readonly events?: boolean;
  /** Parallel jobs; more than one needs a format that allows it, and room for the whole dump in the spool folder. */
  readonly jobs: number;
  /** Empty: the system's folder for temporary files. */
  readonly spoolDirectory: string;
}
