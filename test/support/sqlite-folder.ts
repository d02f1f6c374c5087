import { mkdir, mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDatabase, type DatabaseShape } from '../fixtures/sqlite-database.ts';

/** A temporary folder with databases and a folder for spools, removed at the end of the test. */
export class SqliteFolder {
  readonly path: string;
  readonly spool: string;

  private constructor(path: string) {
    this.path = path;
    this.spool = join(path, 'spool');
  }

  static async create(): Promise<SqliteFolder> {
    const folder = new SqliteFolder(await realpath(await mkdtemp(join(tmpdir(), 'dbackup-sqlite-test-'))));
    await mkdir(folder.spool);
    return folder;
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** Creates a database and returns its path. */
  database(name: string, shape: Partial<DatabaseShape> = {}): string {
    const path = this.file(name);
    createDatabase(path, { megabytes: 2, ...shape });
    return path;
  }

  async spooled(): Promise<string[]> {
    return await readdir(this.spool);
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}
