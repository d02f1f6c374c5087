import { type FileHandle, mkdir, open, rm, statfs, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { ByteStream } from '../../bytes/stream.ts';
import { BackupError, toBackupError } from '../../errors.ts';
import { privateFolderName, sweepPrivateFolders } from '../../private-folders.ts';

const KIND = 'rsync';
/** Free space that a spool leaves to others, in bytes. */
const RESERVE_BYTES = 32 * 1024 * 1024;
/** How often the free space is looked at while a spool grows, in bytes. */
const LOOK_EVERY_BYTES = 64 * 1024 * 1024;

/**
 * A private folder (mode 0700) for what rsync sends, receives and is told by files. Its name tells which process owns
 * it, so that the next one can remove what a killed one left.
 */
export class Spool {
  readonly folder: string;
  readonly #directory: string;

  private constructor(directory: string, folder: string) {
    this.#directory = directory;
    this.folder = folder;
  }

  /** @throws BackupError when the folder for spools is missing, full or not writable */
  static async create(configured: string): Promise<Spool> {
    const directory = directoryOf(configured);
    const folder = join(directory, privateFolderName(KIND));
    try {
      await mkdir(folder, { mode: 0o700 });
      return new Spool(directory, folder);
    } catch (error) {
      throw spoolFailure(error, directory);
    }
  }

  /** Runs the work with a folder that is gone afterwards. */
  static async with<T>(configured: string, work: (spool: Spool) => Promise<T>): Promise<T> {
    const spool = await Spool.create(configured);
    try {
      return await work(spool);
    } finally {
      await spool.remove();
    }
  }

  at(...names: string[]): string {
    return join(this.folder, ...names);
  }

  /**
   * An empty folder, or one with folders in it.
   * @returns with a slash at its end: what is in it, for rsync
   */
  async makeFolder(...names: string[]): Promise<string> {
    return await this.#guard(async () => {
      await mkdir(this.at(...names), { recursive: true, mode: 0o700 });
      return `${this.at(...names)}/`;
    });
  }

  /**
   * A file that lists paths for `--from0 --files-from`: no name in it has a meaning of its own. The dot is for those
   * that begin with # or ;, which rsync takes for comments.
   */
  async writeList(name: string, paths: readonly string[]): Promise<string> {
    return await this.#guard(async () => {
      await writeFile(this.at(name), paths.map((path) => `./${path}\0`).join(''), { mode: 0o600 });
      return this.at(name);
    });
  }

  async makeLink(target: string, ...names: string[]): Promise<void> {
    await this.#guard(async () => {
      await mkdir(dirname(this.at(...names)), { recursive: true, mode: 0o700 });
      await symlink(target, this.at(...names));
    });
  }

  /**
   * Writes a stream to a new file, which only this user can read. Its time of change is a whole second, as rsync
   * compares them on every disk.
   * @returns its bytes
   * @throws BackupError `no-space` when it would leave too little room; of the stream
   */
  async store(bytes: ByteStream, ...names: string[]): Promise<number> {
    const file = await this.#guard(async () => {
      await mkdir(dirname(this.at(...names)), { recursive: true, mode: 0o700 });
      return await open(this.at(...names), 'wx', 0o600);
    });
    try {
      const written = await this.#fill(file, bytes);
      await this.#guard(async () => {
        const now = Math.floor(Date.now() / 1000);
        await utimes(this.at(...names), now, now);
      });
      return written;
    } finally {
      await file.close();
    }
  }

  /** @throws BackupError `no-space` when the disk cannot take that many bytes and the reserve */
  async requireSpace(bytes: number): Promise<void> {
    const { bavail, bsize } = await this.#guard(() => statfs(this.folder));
    const free = bavail * bsize;
    if (free >= bytes + RESERVE_BYTES) return;
    throw new BackupError(
      'no-space',
      `The spool folder ${this.#directory} has ${free} bytes free, but rsync needs ${bytes} and a reserve of ${RESERVE_BYTES} there: free some space, or set another spool folder`,
    );
  }

  /** Never rejects: what stays is swept later. */
  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true, maxRetries: 2 }).catch(() => undefined);
  }

  async #fill(file: FileHandle, bytes: ByteStream): Promise<number> {
    let written = 0;
    let looked = 0;
    for await (const chunk of bytes) {
      if (written - looked >= LOOK_EVERY_BYTES) {
        await this.requireSpace(0);
        looked = written;
      }
      await this.#guard(() => writeWhole(file, chunk));
      written += chunk.length;
      bytes.release?.(chunk);
    }
    return written;
  }

  async #guard<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw spoolFailure(error, this.#directory);
    }
  }
}

/** Removes the spools that killed processes left. @throws BackupError when that fails */
export async function sweepSpools(configured: string): Promise<void> {
  await sweepPrivateFolders(directoryOf(configured), KIND);
}

async function writeWhole(file: FileHandle, chunk: Buffer): Promise<void> {
  for (let at = 0; at < chunk.length; ) at += (await file.write(chunk, at)).bytesWritten;
}

function directoryOf(configured: string): string {
  return configured === '' ? tmpdir() : resolve(configured);
}

function spoolFailure(thrown: unknown, directory: string): BackupError {
  const { code, message } = toBackupError(thrown, `The spool folder ${directory} cannot be used`);
  const advice = code === 'no-space' ? ': free some space, or set another spool folder' : '';
  return thrown instanceof BackupError
    ? thrown
    : new BackupError(code, `${message}${advice}`, { cause: thrown });
}
