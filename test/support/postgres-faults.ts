import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { z } from 'zod';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import type { EngineOptions } from '../../lib/engine/backup-engine.ts';
import type { BackupError } from '../../lib/errors.ts';
import type { RunResult } from '../../lib/runs/outcome.ts';
import type { PostgresServer, postgresSource } from '../../lib/sources/postgres/options.ts';
import { createPostgresSource } from '../../lib/sources/postgres/postgres-source.ts';
import { type PostgresOptions, startPostgres, type TestPostgres } from '../servers/postgres.ts';
import { childProcesses } from './child-processes.ts';
import { filesBelow, localFolder, ONE_COPY, runEngine } from './engine-run.ts';
import { until } from './until.ts';

const REAL_TOOLS = '/usr/lib/postgresql/15/bin';

export interface FaultyRun {
  readonly server?: Partial<PostgresServer>;
  readonly source?: z.input<typeof postgresSource>;
  readonly bytesPerSecond?: number;
  readonly to?: DestinationDriver;
  readonly engine?: EngineOptions;
  /** Done while the run goes on. */
  readonly meanwhile?: () => Promise<unknown>;
}

export interface FaultyResult {
  readonly result: RunResult;
  /** What is stored, without what describes the set. */
  readonly stored: readonly string[];
  errorOf(database: string): BackupError;
}

/** A server whose databases are dumped by the real engine, and what must be gone after each run. */
export class PostgresFaults {
  readonly server: TestPostgres;
  readonly #home: string;
  readonly #children: readonly number[];
  #folders = 0;

  private constructor(server: TestPostgres, home: string) {
    this.server = server;
    this.#home = home;
    this.#children = childProcesses();
  }

  static async start(options: PostgresOptions = {}): Promise<PostgresFaults> {
    const server = await startPostgres(options);
    return new PostgresFaults(server, await mkdtemp(join(tmpdir(), 'dbackup-postgres-faults-')));
  }

  async stop(): Promise<void> {
    await this.server.stop();
    await rm(this.#home, { recursive: true, force: true });
  }

  /**
   * A folder of tools whose `pg_dump` is a shell script; in it `$real "$@"` does what the real one does.
   * @param version what it does when it is asked for its version: answers as the real one, if absent
   */
  async toolsFolder(script: string, version = 'exec $real --version'): Promise<string> {
    this.#folders += 1;
    const folder = join(this.#home, `tools-${this.#folders}`);
    await mkdir(folder);
    const lines = [
      '#!/bin/bash',
      `real=${REAL_TOOLS}/pg_dump`,
      `if [ "$1" = --version ]; then ${version}; fi`,
      script,
    ];
    await writeFile(join(folder, 'pg_dump'), `${lines.join('\n')}\n`);
    await chmod(join(folder, 'pg_dump'), 0o755);
    return folder;
  }

  /** A file that goes when the tests end. */
  async file(name: string, content: Buffer): Promise<string> {
    const path = join(this.#home, name);
    await writeFile(path, content);
    return path;
  }

  /** Runs a backup to its end. No process, session or temporary file may be left. */
  async run(plan: FaultyRun): Promise<FaultyResult> {
    const temporary = await mkdtemp(join(this.#home, 'tmp-'));
    const folder = await localFolder();
    const before = process.env.TMPDIR;
    process.env.TMPDIR = temporary;
    try {
      const { bytesPerSecond, to = folder.driver } = plan;
      const source = createPostgresSource(
        { ...this.server.settings, ...plan.server },
        { globals: false, ...plan.source },
      );
      const branch = { to, name: 'local', ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }) };
      const [{ result }] = await Promise.all([
        runEngine(source, [branch], { ...ONE_COPY, ...plan.engine }),
        plan.meanwhile?.(),
      ]);
      assert.deepEqual(this.#newChildren(), [], 'a child process was left behind');
      assert.deepEqual(await readdir(temporary), [], 'a temporary file was left behind');
      const files = await filesBelow(folder.root);
      const stored = files.map((file) => file.replace(/^.*\//, ''));
      return {
        result,
        stored: stored.filter((name) => !/^(SHA256SUMS|RESTORE\.md|manifest\.json)$/.test(name)),
        errorOf: (database) => errorOf(result, database),
      };
    } finally {
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
      await folder.remove();
    }
  }

  /** Waits until a dump reads the rows of a table. */
  async dumping(database: string): Promise<void> {
    await until(async () => {
      const copying = await this.server.query(
        `SELECT FROM pg_stat_activity WHERE application_name LIKE 'dbackup%' AND query LIKE 'COPY%'
            AND datname = '${database}'`,
      );
      return copying.length > 0;
    }, 60_000);
  }

  /** The process that dumps now. */
  async dumpProcess(): Promise<number> {
    await until(() => this.#newChildren().length > 0, 120_000);
    const [pid, ...more] = this.#newChildren();
    assert.ok(pid !== undefined && more.length === 0, 'there must be one child process');
    return pid;
  }

  #newChildren(): number[] {
    return childProcesses().filter((pid) => !this.#children.includes(pid));
  }
}

function errorOf(result: RunResult, database: string): BackupError {
  const error = result.artifacts.find((artifact) => artifact.database === database)?.error;
  return error ?? assert.fail(`${database} did not fail: ${result.state} ${result.error?.message ?? ''}`);
}
