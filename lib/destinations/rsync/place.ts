import { setTimeout as wait } from 'node:timers/promises';
import { toBackupError } from '../../errors.ts';
import { commitFolder } from '../commit-folder.ts';
import { markActive, markDone, temporaryName } from '../temporary-names.ts';
import { filterOptions, includePath, includeTree, NOTHING_ELSE } from './filters.ts';
import { entriesBelow } from './look.ts';
import { Spool } from './spool.ts';
import type { RsyncStorage } from './storage.ts';

/** How long a clean-up may go on after its caller has given up waiting, in ms. */
const CLEAN_UP_MS = 60_000;
const BETWEEN_TRIES_MS = 2000;

/**
 * Where one object is being written. What is not committed lies below a hidden folder in the storage's own, under
 * the object's whole path: rsync links or copies it from there to where it belongs.
 */
export class RsyncPlace {
  readonly storage: RsyncStorage;
  readonly names: readonly string[];
  /** The hidden folders that were begun, the latest one last: each attempt has its own. */
  readonly stagings: string[] = [];
  /** Whether the lock of a commit is there, and ours: not known when the answer to its making got lost. */
  locked: 'yes' | 'no' | 'unknown' = 'no';

  constructor(storage: RsyncStorage, names: readonly string[]) {
    this.storage = storage;
    this.names = names;
  }

  get path(): string {
    return this.names.join('/');
  }

  /** A symbolic link beside the object: making one is what rsync does not do when there is one already. */
  get lock(): string[] {
    return commitFolder(this.names);
  }

  /** The name of a fresh hidden folder: only letters that rsync and every shell take as they are. */
  newStaging(): string {
    const name = (this.names.at(-1) ?? '').replace(/[^A-Za-z0-9._-]/g, '_');
    const staging = temporaryName(name);
    markActive(staging);
    this.stagings.push(staging);
    return staging;
  }

  /** A sweep may have what is still there. */
  done(): void {
    for (const staging of this.stagings) markDone(staging);
  }

  /** Looks whether the lock names a hidden folder of ours. */
  async ownsLock(signal: AbortSignal): Promise<boolean> {
    const rules = [...includePath(this.lock), NOTHING_ELSE];
    let isOurs = false;
    for await (const entry of entriesBelow(this.storage, `commit ${this.path}`, rules, signal)) {
      if (entry.type !== 'link' || entry.path !== this.lock.join('/')) continue;
      // A daemon may put something before the target.
      isOurs = this.stagings.some((staging) => entry.target?.endsWith(staging));
    }
    this.locked = isOurs ? 'yes' : 'no';
    return isOurs;
  }

  /**
   * Removes the hidden folders, our lock, and the folders that are empty then; tries again while the server cannot be
   * reached. What stays is swept later.
   */
  async removeTraces(): Promise<void> {
    if (this.stagings.length === 0 && this.locked === 'no') return;
    const signal = AbortSignal.timeout(CLEAN_UP_MS);
    for (;;) {
      try {
        await this.#removeOnce(signal);
        return;
      } catch (error) {
        if (!toBackupError(error).transient) throw error;
        // A process that is done need not wait for it.
        await wait(BETWEEN_TRIES_MS, undefined, { signal, ref: false });
      }
    }
  }

  async #removeOnce(signal: AbortSignal): Promise<void> {
    const { names, stagings, storage } = this;
    const trees = stagings.map((staging) => [staging]);
    if (this.locked === 'unknown') await this.ownsLock(signal);
    const links = this.locked === 'yes' ? [this.lock] : [];
    // In each hidden folder lie the folders of the path and the object.
    const most = stagings.length * (names.length + 1) + links.length + names.length - 1;
    await deleteExactly(storage, `remove the unfinished ${this.path}`, { trees, paths: links, most }, signal);
    this.locked = 'no';
  }
}

/** What is deleted. */
export interface Deletion {
  /** Folders with everything in them. */
  readonly trees?: readonly (readonly string[])[];
  /** Single entries; the folders that lead to them go too, when they are empty then. */
  readonly paths?: readonly (readonly string[])[];
  /** A bound for the number of entries that go: more than that would be a mistake. */
  readonly most: number;
}

/**
 * Deletes by syncing an empty folder into the storage's: what no rule names is protected by the last one, and a folder
 * that is not empty is not removed. Nothing is made that is not there.
 */
export async function deleteExactly(
  storage: RsyncStorage,
  doing: string,
  { trees = [], paths = [], most }: Deletion,
  signal: AbortSignal,
): Promise<void> {
  const rules = new Set([...trees.flatMap(includeTree), ...paths.flatMap(includePath)]);
  await Spool.with(storage.options.spoolDirectory, async (spool) => {
    const args = [
      '-r',
      '--delete',
      `--max-delete=${most}`,
      '--existing',
      '--ignore-existing',
      ...filterOptions([...rules, NOTHING_ELSE]),
      await spool.makeFolder('empty'),
      storage.target(),
    ];
    await storage.run({ doing, args }, signal);
  });
}
