import { constants } from 'node:fs';
import { access, type FileHandle, lstat, mkdir, open, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { BackupError } from '../../errors.ts';
import { errnoName, fileError, isErrno } from './errors.ts';

const FOLDER_FLAGS = constants.O_RDONLY | (constants.O_DIRECTORY ?? 0) | (constants.O_NOFOLLOW ?? 0);

/** Errno names of a file system that cannot sync a folder: there is nothing more to be done then. */
const NO_FOLDER_SYNC = ['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EBADF'];

/**
 * A folder that was opened, so that names in it are looked up in this very folder even when somebody
 * exchanges a part of its path for a symbolic link meanwhile. Linux offers that through
 * `/proc/self/fd/<n>/<name>` (the effect of openat(2), which Node does not have). Elsewhere each
 * component is checked when it is opened, which leaves a short window to somebody who can write there.
 */
export class Folder {
  /** The path for people. */
  readonly path: string;
  readonly parent: Folder | undefined;
  readonly #name: string;
  readonly #handle: FileHandle | undefined;
  readonly #lookup: string;

  private constructor(
    path: string,
    name: string,
    parent: Folder | undefined,
    handle?: FileHandle,
    lookup?: string,
  ) {
    this.path = path;
    this.#name = name;
    this.parent = parent;
    this.#handle = handle;
    this.#lookup = lookup ?? path;
  }

  /** Opens the storage's root; a symbolic link is followed here, and only here. */
  static async openRoot(path: string): Promise<Folder> {
    return await Folder.#open(path, path, '', undefined, FOLDER_FLAGS & ~(constants.O_NOFOLLOW ?? 0));
  }

  /** The path under which the file system finds this folder itself. */
  get self(): string {
    return this.#lookup;
  }

  /** The path under which the file system finds `name` in this folder. */
  at(name: string): string {
    return join(this.#lookup, name);
  }

  /** The path of `name` in this folder, for people. */
  pathOf(name: string): string {
    return join(this.path, name);
  }

  /**
   * Opens the folder `name` in this one, without following a symbolic link.
   * @throws BackupError `not-found`, or `invalid-config` for a link or a file
   */
  async openChild(name: string): Promise<Folder> {
    const path = this.pathOf(name);
    try {
      if (constants.O_NOFOLLOW === undefined) await this.#refuseOther(name);
      return await Folder.#open(this.at(name), path, name, this, FOLDER_FLAGS);
    } catch (error) {
      throw (await this.#whyNotFolder(name, error)) ?? fileError(error, 'open', path);
    }
  }

  /** Makes the folder `name` in this one, durably; no error when it is there. */
  async makeChild(name: string): Promise<void> {
    try {
      await mkdir(this.at(name), { mode: 0o700 });
    } catch (error) {
      if (isErrno(error, 'EEXIST')) return;
      throw fileError(error, 'create the folder', this.pathOf(name));
    }
    await this.sync();
  }

  /** Removes this folder if it is empty; false when it stays. */
  async removeIfEmpty(): Promise<boolean> {
    if (this.parent === undefined) return false;
    try {
      await rmdir(this.parent.at(this.#name));
      return true;
    } catch {
      return false;
    }
  }

  /** Makes the names in this folder durable. */
  async sync(): Promise<void> {
    try {
      await this.#handle?.sync();
    } catch (error) {
      if (!NO_FOLDER_SYNC.includes(errnoName(error) ?? ''))
        throw fileError(error, 'write the folder', this.path);
    }
  }

  async close(): Promise<void> {
    await this.#handle?.close();
  }

  async #whyNotFolder(name: string, error: unknown): Promise<unknown> {
    if (!isErrno(error, 'ENOTDIR', 'ELOOP')) return undefined;
    return await this.#refuseOther(name).then(undefined, (why: unknown) =>
      why instanceof BackupError ? why : undefined,
    );
  }

  async #refuseOther(name: string): Promise<void> {
    const found = await lstat(this.at(name));
    if (found.isSymbolicLink()) throw linkRefused(this.pathOf(name));
    if (!found.isDirectory()) {
      throw new BackupError('invalid-config', `${this.pathOf(name)} is a file, but a folder is needed there`);
    }
  }

  static async #open(
    lookup: string,
    path: string,
    name: string,
    parent: Folder | undefined,
    flags: number,
  ): Promise<Folder> {
    // Windows opens no folders; it has nothing to sync either.
    if (process.platform === 'win32') return new Folder(path, name, parent);
    const handle = await open(lookup, flags);
    const throughHandle = `/proc/self/fd/${handle.fd}`;
    return new Folder(path, name, parent, handle, (await hasProc()) ? throughHandle : path);
  }
}

/** The error for a symbolic link where a folder or object of the storage is expected. */
export function linkRefused(path: string): BackupError {
  return new BackupError(
    'invalid-config',
    `${path} is a symbolic link: links below the root of a storage are not followed, use a bind mount instead`,
  );
}

let procAnswer: Promise<boolean> | undefined;

function hasProc(): Promise<boolean> {
  procAnswer ??=
    process.platform === 'linux'
      ? access('/proc/self/fd').then(
          () => true,
          () => false,
        )
      : Promise.resolve(false);
  return procAnswer;
}
