import { statfs } from 'node:fs/promises';
import type { z } from 'zod';
import { BackupError, throwIfAborted, toBackupError } from '../../errors.ts';
import type { DatabaseInfo, Dump, SourceDriver, SourceProbe } from '../driver.ts';
import { askSqlite } from './child.ts';
import { dumpSqlite } from './dump.ts';
import { selectDatabases } from './files.ts';
import { readSqliteOptions, type SqliteOptions, type sqliteOptions } from './options.ts';
import type { ProbedFile } from './protocol.ts';
import { newSpoolFolder, spoolDirectoryOf, sweepSpool } from './spool.ts';

const MIB = 1024 * 1024;

/**
 * Dumps SQLite database files while programs write to them. Database files are opened in child processes
 * only, never in this one.
 * @throws BackupError `invalid-config` when the options are wrong
 */
export function createSqliteSource(options: z.input<typeof sqliteOptions>): SourceDriver {
  return new SqliteSource(readSqliteOptions(options));
}

class SqliteSource implements SourceDriver {
  readonly kind = 'sqlite';
  readonly #options: SqliteOptions;

  constructor(options: SqliteOptions) {
    this.#options = options;
  }

  describe(): string {
    return this.#options.files.join(', ');
  }

  async probe(signal: AbortSignal): Promise<SourceProbe> {
    const databases = await this.listDatabases(signal);
    const files = databases.map(({ id }) => id);
    const busyTimeoutMs = this.#options.busyTimeout * 1000;
    const probed = await askSqlite(
      { task: 'probe', files, busyTimeoutMs },
      'probed',
      this.describe(),
      signal,
    );
    const problems = probed.files.flatMap(({ problem }) => problem ?? []);
    const [first] = problems;
    if (first !== undefined && problems.length === files.length) {
      throw new BackupError(first.code, first.message, { transient: first.transient });
    }
    const spoolProblem = await this.#spoolProblem();
    return {
      version: probed.version,
      summary: summarize(probed.version, probed.files),
      warnings: [...problems.map(({ message }) => message), ...spoolProblem],
    };
  }

  async listDatabases(signal: AbortSignal): Promise<DatabaseInfo[]> {
    throwIfAborted(signal);
    return await selectDatabases(this.#options.files);
  }

  async dump(database: DatabaseInfo, signal: AbortSignal): Promise<Dump> {
    const { method, pagesPerStep, busyTimeout, walGrowthLimit, countRows, spoolDirectory } = this.#options;
    const spoolFolder = newSpoolFolder(spoolDirectoryOf(spoolDirectory));
    await sweepSpool(spoolDirectory).catch(() => []);
    return await dumpSqlite(
      {
        task: 'dump',
        file: database.id,
        method,
        pagesPerStep,
        busyTimeoutMs: busyTimeout * 1000,
        walGrowthBytes: walGrowthLimit * MIB,
        countRows,
        spoolFolder,
      },
      signal,
    );
  }

  async #spoolProblem(): Promise<string[]> {
    const directory = spoolDirectoryOf(this.#options.spoolDirectory);
    try {
      await statfs(directory);
      return [];
    } catch (error) {
      return [`The spool folder ${directory} cannot be used: ${toBackupError(error).message}`];
    }
  }
}

function summarize(version: string, files: readonly ProbedFile[]): string {
  const readable = files.filter(({ problem }) => problem === undefined);
  const mebibytes = readable.reduce((sum, { bytes }) => sum + bytes, 0) / MIB;
  const count = readable.length === 1 ? '1 database' : `${readable.length} databases`;
  return `SQLite ${version}, ${count}, ${mebibytes.toFixed(1)} MiB`;
}
