import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EngineOptions } from '../../lib/engine/backup-engine.ts';
import type { BackupError, ErrorCode } from '../../lib/errors.ts';
import type { RunResult } from '../../lib/runs/outcome.ts';
import type { DatabaseInfo, Dump, SourceDriver } from '../../lib/sources/driver.ts';
import { ownTemporaryFolder, sessionsLeft } from '../fixtures/mysql-source-fixture.ts';
import type { TestMysqlServer } from '../servers/mysql-server.ts';
import { childProcesses } from './child-processes.ts';
import { filesBelow, localFolder, ONE_COPY, runEngine } from './engine-run.ts';

/** The real tool under another name, so that a script in its place can call it. */
const REAL = 'mariadb-dump';

/** Runs against one server, and what must be gone after each of them. */
export class FaultyRuns {
  readonly #server: TestMysqlServer;
  readonly #home: string;
  readonly #temporary: Awaited<ReturnType<typeof ownTemporaryFolder>>;
  readonly #before = childProcesses();

  private constructor(
    server: TestMysqlServer,
    home: string,
    temporary: Awaited<ReturnType<typeof ownTemporaryFolder>>,
  ) {
    this.#server = server;
    this.#home = home;
    this.#temporary = temporary;
  }

  static async open(server: TestMysqlServer): Promise<FaultyRuns> {
    const home = await mkdtemp(join(tmpdir(), 'dbackup-faults-'));
    return new FaultyRuns(server, home, await ownTemporaryFolder());
  }

  /**
   * Runs a backup of a source to a new local folder.
   * @returns the result, and the files of the folder
   */
  async run(
    source: SourceDriver,
    options: EngineOptions = {},
  ): Promise<{ result: RunResult; files: string[] }> {
    const { driver, root, remove } = await localFolder();
    try {
      const { result } = await runEngine(source, [{ to: driver, name: 'disk' }], {
        ...ONE_COPY,
        ...options,
      });
      return { result, files: await filesBelow(root) };
    } finally {
      await remove();
    }
  }

  /**
   * Runs a backup that must fail for this reason, and leave nothing.
   * @returns the first error
   */
  async requireFailure(
    source: SourceDriver,
    code: ErrorCode,
    message: RegExp,
  ): Promise<BackupError | undefined> {
    const { result, files } = await this.run(source);
    assert.equal(result.state, 'failed');
    for (const { database, error } of result.artifacts) {
      assert.equal(error?.code, code, `${database}: ${error?.message}`);
      assert.match(error.message, message);
    }
    assert.ok(result.artifacts.length > 0);
    assert.deepEqual(files, []);
    return result.artifacts[0]?.error;
  }

  /** A folder with a script in the place of the dump tool; `$REAL` is the real one. */
  async tools(script: string): Promise<string> {
    const folder = await mkdtemp(join(this.#home, 'tools-'));
    const path = join(folder, 'mariadb-dump');
    const version = 'mariadb-dump  Ver 10.19 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)';
    const asked = `case "$*" in *--version*) echo '${version}'; exit 0;; esac`;
    await writeFile(path, `#!/bin/sh\nREAL=${REAL}\n${asked}\n${script}\n`);
    await chmod(path, 0o755);
    return folder;
  }

  /** An empty folder that nothing is left in at the end. */
  async folder(name: string): Promise<string> {
    const path = join(this.#home, name);
    await mkdir(path);
    return path;
  }

  /** Processes that were started since the tests began. */
  children(): number[] {
    return childProcesses().filter((pid) => !this.#before.includes(pid));
  }

  async requireNothingLeft(): Promise<void> {
    assert.deepEqual(this.children(), [], 'a child process was left behind');
    const files = (await readdir(this.#temporary.path)).filter((name) => !name.startsWith('dbackup-engine-'));
    assert.deepEqual(files, [], 'a temporary file was left behind');
    assert.deepEqual(await sessionsLeft(this.#server), [], 'a session was left behind');
  }

  async close(): Promise<void> {
    await this.#temporary.remove();
    await rm(this.#home, { recursive: true, force: true });
  }
}

/** A source whose dumps are told to somebody as their bytes pass. */
export function observed(
  driver: SourceDriver,
  tell: (database: DatabaseInfo, bytes: number) => void | Promise<void>,
): SourceDriver {
  return {
    kind: driver.kind,
    describe: () => driver.describe(),
    probe: (signal) => driver.probe(signal),
    listDatabases: (signal) => driver.listDatabases(signal),
    dump: async (database, signal) => {
      await tell(database, 0);
      const dump = await driver.dump(database, signal);
      return { ...dump, stream: telling(dump, (bytes) => tell(database, bytes)) };
    },
  };
}

async function* telling(
  { stream }: Dump,
  tell: (bytes: number) => void | Promise<void>,
): AsyncGenerator<Buffer, undefined> {
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    await tell(bytes);
    yield chunk;
  }
}
