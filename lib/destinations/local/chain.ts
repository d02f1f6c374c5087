import { BackupError } from '../../errors.ts';
import type { Folder } from './folder.ts';

/** How often a folder that another writer pruned just now is made again. */
const ATTEMPTS = 20;

/** The opened folders from the root (first) to the one that holds an object (last). */
export class FolderChain {
  readonly #folders: Folder[];

  private constructor(root: Folder) {
    this.#folders = [root];
  }

  /**
   * Opens `names` below `root`, and takes `root` over: closing the chain closes it.
   * @throws BackupError `not-found` when one is missing
   */
  static async open(root: Folder, names: readonly string[]): Promise<FolderChain> {
    return await FolderChain.#walk(root, names, async (parent, name) => await parent.openChild(name));
  }

  /** The same, making the folders that are missing. */
  static async make(root: Folder, names: readonly string[]): Promise<FolderChain> {
    return await FolderChain.#walk(root, names, async (parent, name) => {
      await parent.makeChild(name);
      return await parent.openChild(name);
    });
  }

  /** The folder at the end of the chain. */
  get last(): Folder {
    // The root is always there.
    return this.#folders[this.#folders.length - 1] as Folder;
  }

  /** Makes every name in the chain durable, the ones that another writer has just made included. */
  async sync(): Promise<void> {
    for (const folder of this.#folders.toReversed()) await folder.sync();
  }

  /** Removes the folders that are empty, from the last up to, and not including, the root. */
  async prune(): Promise<void> {
    for (const folder of this.#folders.toReversed()) {
      if (!(await folder.removeIfEmpty())) return;
    }
  }

  async close(): Promise<void> {
    for (const folder of this.#folders.toReversed()) await folder.close();
  }

  static async #walk(
    root: Folder,
    names: readonly string[],
    step: (parent: Folder, name: string) => Promise<Folder>,
  ): Promise<FolderChain> {
    const chain = new FolderChain(root);
    try {
      for (const name of names) chain.#folders.push(await step(chain.last, name));
      return chain;
    } catch (error) {
      await chain.close();
      throw error;
    }
  }
}

/**
 * Runs `place` in the folders `names`, made where missing, and begins again when another writer prunes
 * one of them in between. The chain stays open only when `place` succeeds.
 */
export async function inMadeFolders<T>(
  openRoot: () => Promise<Folder>,
  names: readonly string[],
  place: (chain: FolderChain) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const root = await openRoot();
    try {
      const chain = await FolderChain.make(root, names);
      try {
        return await place(chain);
      } catch (error) {
        await chain.prune();
        await chain.close();
        throw error;
      }
    } catch (error) {
      const pruned = names.length > 0 && error instanceof BackupError && error.code === 'not-found';
      if (!pruned || attempt === ATTEMPTS) throw error;
    }
  }
}
