import { constants, type Stats } from 'node:fs';
import { access, lstat, realpath, statfs } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { ByteStream } from '../../bytes/stream.ts';
import { BackupError, throwIfAborted, toBackupError } from '../../errors.ts';
import type { RestoreReport, RestoreTarget } from '../driver.ts';
import { askSqlite } from './child.ts';
import { inspectionProof } from './dump.ts';
import { RestoredFile } from './restored-file.ts';
import { siblingsOf } from './siblings.ts';
import { requireUnused, swapIn } from './swap.ts';

/** Free space that a restore leaves to others, in bytes. */
const RESERVE_BYTES = 16 * 1024 * 1024;

export interface SqliteRestoreOptions {
  /** The database file to create or replace. A link is followed. */
  readonly path: string;
  /** What to do when it exists. */
  readonly overwrite: 'refuse' | 'replace';
  /** Keep what is replaced as `<path>.before-restore-<UTC time>`. */
  readonly safetyCopy: boolean;
}

/**
 * Restores a dump into a database file. The bytes go into a temporary file beside it, which takes its place
 * only when `integrity_check` has passed; until then the target stays as it is. The file is put back byte
 * for byte, so it has the journal mode (WAL or not) that the original had.
 */
export function createSqliteRestoreTarget(options: SqliteRestoreOptions): RestoreTarget {
  return new SqliteRestoreTarget(options);
}

class SqliteRestoreTarget implements RestoreTarget {
  readonly kind = 'sqlite';
  readonly #options: SqliteRestoreOptions;

  constructor(options: SqliteRestoreOptions) {
    if (options.path.trim() === '') {
      throw new BackupError('invalid-config', 'Name the file that the database is to be restored into');
    }
    this.#options = options;
  }

  describe(): string {
    return this.#options.path;
  }

  async check(expectedBytes: number | undefined, signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    const { target, previous } = await this.#look();
    const folder = dirname(target);
    await access(folder, constants.W_OK | constants.X_OK).catch((error: unknown) => {
      throw toBackupError(error, `The folder ${folder} cannot be written to`);
    });
    if (expectedBytes !== undefined) await requireSpace(folder, expectedBytes);
    if (previous !== undefined) await requireUnused(target, signal);
  }

  async restore(raw: ByteStream, signal: AbortSignal): Promise<RestoreReport> {
    throwIfAborted(signal);
    const { target } = await this.#look();
    const restored = await RestoredFile.create(target);
    try {
      await restored.fill(raw, signal);
      const request = { task: 'verify', file: restored.path } as const;
      const { inspection } = await askSqlite(request, 'checked', `the restored ${target}`, signal);
      throwIfAborted(signal);
      // Again: much time has passed since the first look.
      const { previous } = await this.#look();
      const replacement = { restored: restored.path, target, previous, keep: this.#options.safetyCopy };
      const safetyCopy = await swapIn(replacement, signal);
      return {
        target,
        ...(safetyCopy === undefined ? {} : { safetyCopy }),
        proof: inspectionProof(inspection, 'integrity_check'),
      };
    } finally {
      await restored.discard();
    }
  }

  /** The file that the path leads to, and what is there. */
  async #look(): Promise<{ target: string; previous: Stats | undefined }> {
    const target = await resolveTarget(this.#options.path);
    const previous = await lstat(target).catch(() => undefined);
    if (previous !== undefined && !previous.isFile()) {
      throw new BackupError('invalid-config', `${target} is not a regular file: name the database file`);
    }
    const [existing] = previous === undefined ? await siblingsOf(target) : [target];
    if (existing !== undefined && this.#options.overwrite === 'refuse') {
      throw new BackupError(
        'already-exists',
        `${existing} exists: restore to another path, or allow it to be replaced`,
      );
    }
    return { target, previous };
  }
}

async function resolveTarget(path: string): Promise<string> {
  const absolute = resolve(path);
  try {
    return await realpath(absolute);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT') throw toBackupError(error, `${path} cannot be looked at`);
  }
  const isDangling = await lstat(absolute).then(
    () => true,
    () => false,
  );
  if (isDangling) throw new BackupError('invalid-config', `${path} is a link to a file that does not exist`);
  try {
    return join(await realpath(dirname(absolute)), basename(absolute));
  } catch (error) {
    throw toBackupError(error, `The folder ${dirname(absolute)} cannot be used: create it first`);
  }
}

async function requireSpace(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free >= bytes + RESERVE_BYTES) return;
  throw new BackupError(
    'no-space',
    `The disk of ${folder} has ${free} bytes free, but the database needs ${bytes} and a reserve of ${RESERVE_BYTES}: free some space, or restore to another disk`,
  );
}
