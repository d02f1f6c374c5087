import { mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { BackupError, toBackupError } from '../../errors.ts';
import { privateFolderName, sweepPrivateFolders } from '../../private-folders.ts';
import type { RestoreTarget, TableRows } from '../driver.ts';
import type { ScratchDatabase, ScratchFindings, ScratchQuestions } from '../scratch.ts';
import { askSqlite } from './child.ts';
import { createSqliteRestoreTarget } from './sqlite-restore.ts';

const KIND = 'verify';

/**
 * A database file in a private folder for a test restore.
 * @param directory where the folder is made; empty: the system's folder for temporary files
 * @throws BackupError when the folder cannot be made
 */
export async function createSqliteScratch(directory: string): Promise<ScratchDatabase> {
  const folder = join(directory === '' ? tmpdir() : resolve(directory), privateFolderName(KIND));
  try {
    await mkdir(folder, { mode: 0o700 });
  } catch (error) {
    throw toBackupError(error, `The folder ${folder} for a test restore cannot be made`);
  }
  const path = join(folder, 'scratch.sqlite');
  const target = new CountingTarget(
    createSqliteRestoreTarget({ path, overwrite: 'refuse', safetyCopy: false }),
  );
  return {
    place: path,
    target,
    examine: (questions, signal) => examine(path, target.tables, questions, signal),
    drop: async () => {
      try {
        await rm(folder, { recursive: true, force: true });
      } catch (error) {
        throw toBackupError(error, `The folder ${folder} is left over, remove it`);
      }
    },
  };
}

/** Removes the folders that killed test restores have left. @returns their names */
export async function sweepSqliteScratches(directory: string): Promise<string[]> {
  return await sweepPrivateFolders(directory === '' ? tmpdir() : resolve(directory), KIND);
}

/** The restore counts the rows when it checks the file: once is enough. */
class CountingTarget implements RestoreTarget {
  readonly kind = 'sqlite';
  tables: readonly TableRows[] = [];
  readonly #target: RestoreTarget;

  constructor(target: RestoreTarget) {
    this.#target = target;
  }

  describe = () => this.#target.describe();
  check: RestoreTarget['check'] = (expectedBytes, signal) => this.#target.check(expectedBytes, signal);
  restore: RestoreTarget['restore'] = async (raw, signal) => {
    const report = await this.#target.restore(raw, signal);
    this.tables = report.proof.tables ?? [];
    return report;
  };
}

async function examine(
  file: string,
  counted: readonly TableRows[],
  { tables, statements }: ScratchQuestions,
  signal: AbortSignal,
): Promise<ScratchFindings> {
  const wanted = new Set(tables);
  const present = new Set(counted.map(({ name }) => name));
  const found = {
    rows: counted.filter(({ name }) => wanted.has(name)),
    missing: tables.filter((name) => !present.has(name)),
  };
  if (statements.length === 0) return { ...found, answers: [] };
  const request = { task: 'ask', file, statements } as const;
  const { answers } = await askSqlite(request, 'answered', `the restored ${file}`, signal);
  return {
    ...found,
    answers: answers.map((answer) =>
      'error' in answer
        ? { error: new BackupError('incomplete', answer.error) }
        : { value: 'value' in answer ? answer.value : undefined },
    ),
  };
}
