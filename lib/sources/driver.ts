import type { ByteStream } from '../bytes/stream.ts';

/** The source port: one instance per configured source, created from validated options. */
export interface SourceDriver {
  /** Stable name of the engine: `sqlite`, `postgres`. Written into manifests. */
  readonly kind: string;
  /** Absent: the source's databases are dumped one after the other. */
  readonly lane?: DumpLane;
  /** Where the data comes from, for people and manifests, without secrets. */
  describe(): string;
  /**
   * What can be told before a run is opened: throws when no dump could succeed whatever the server says, as
   * when the tool is missing or too old for it. A server that does not answer is left to the run.
   */
  prepare?(signal: AbortSignal): Promise<void>;
  /** Checks access and tools; throws a BackupError that says what to do. */
  probe(signal: AbortSignal): Promise<SourceProbe>;
  /**
   * The databases that the options select now, each becoming one artifact. A selected database that
   * cannot be read is listed all the same: its dump then fails alone.
   */
  listDatabases(signal: AbortSignal): Promise<DatabaseInfo[]>;
  /**
   * Starts one consistent dump. Resolves when bytes can flow; the signal ends the child process.
   * @throws BackupError when the dump cannot start
   */
  dump(database: DatabaseInfo, signal: AbortSignal): Promise<Dump>;
}

/** Dumps that share a key, of all runs in this process, go on at most `limit` at a time. */
export interface DumpLane {
  /** The server: `postgres://127.0.0.1:5432`. */
  readonly key: string;
  /** At least 1. */
  readonly limit: number;
}

export interface SourceProbe {
  /** Version of the engine or server: `3.54.1`. */
  readonly version: string;
  /** One line for the editor: what was found. */
  readonly summary: string;
  /** What a full dump would miss or risk. */
  readonly warnings: readonly string[];
}

export interface DatabaseInfo {
  /** Unique within the source; what the driver's `dump` understands (a path, a database name). */
  readonly id: string;
  /** Short name for files and people, not yet safe as a file name. */
  readonly name: string;
  /** Size of the raw data in bytes, when it is known without a scan. */
  readonly bytes?: number;
  /** What was noticed while listing; become warnings of its artifact. */
  readonly warnings?: readonly string[];
}

export interface Dump {
  readonly stream: ByteStream;
  /**
   * The engine-specific proof of completeness (invariant 1). Settles after `stream` was drained or
   * ended; rejects when the tool failed or the proof does not hold. Never left unhandled by drivers.
   */
  readonly proof: Promise<DumpProof>;
  /** Format of the raw bytes, forever: `sqlite3`, `pg-custom`. */
  readonly format: string;
  /** Extension of the raw file, with the dot: `.sqlite`. */
  readonly extension: string;
  /** Raw bytes that will come, when known; drives the ETA and the free-space checks. */
  readonly expectedBytes?: number;
  /** Version of the engine that produced the dump. */
  readonly version: string;
}

export interface DumpProof {
  /** What was shown, for the manifest: `quick_check ok, 25600 pages`. */
  readonly statement: string;
  /** Machine-readable facts, for later verification (page count, number of tables). */
  readonly facts: Readonly<Record<string, string | number | boolean>>;
  /**
   * Rows of each table in the dump, from its very moment; those that a restore of it has. Absent when they were not
   * counted, and without the tables whose rows could not be counted.
   */
  readonly tables?: readonly TableRows[];
  readonly warnings: readonly string[];
}

export interface TableRows {
  /** As the engine names it in full: `public.orders` for PostgreSQL, `orders` elsewhere. */
  readonly name: string;
  readonly rows: number;
}

/** The restore side of a source: takes the raw dump bytes back into a database. */
export interface RestoreTarget {
  readonly kind: string;
  describe(): string;
  /** Refuses early, before any byte is read: target exists, no space, no permission. */
  check(expectedBytes: number | undefined, signal: AbortSignal): Promise<void>;
  /**
   * Consumes `raw` to its end and makes it the database, all or nothing. `raw` throws when a hash or
   * authentication fails: the target must then be as it was before.
   */
  restore(raw: ByteStream, signal: AbortSignal): Promise<RestoreReport>;
}

export interface RestoreReport {
  /** Where the restored database is. */
  readonly target: string;
  /** Where the previous content was kept, when there was any. */
  readonly safetyCopy?: string;
  readonly proof: DumpProof;
}
