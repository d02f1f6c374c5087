import { execFile } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { skipBecause } from './skip.ts';

const run = promisify(execFile);

export interface SmallDisk {
  /** Where it is mounted. */
  readonly path: string;
  remount(option: 'ro' | 'rw'): Promise<void>;
  unmount(): Promise<void>;
}

/**
 * Mounts a file system of its own in memory, to be filled or made read-only; skips the test where this
 * user may not mount.
 * @param options of tmpfs: `size=4m`, `nr_inodes=8`
 */
export async function mountSmallDisk(context: Mocha.Context, options: string): Promise<SmallDisk> {
  const path = await mkdtemp(join(tmpdir(), 'dbackup-disk-'));
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `${options},mode=777`, 'tmpfs', path]);
  } catch (error) {
    await rmdir(path);
    const why = error instanceof Error ? error.message.trim().split('\n').at(-1) : String(error);
    return skipBecause(context, `cannot mount a small disk here: ${why}`);
  }
  return {
    path,
    remount: async (option) => {
      await run('mount', ['-o', `remount,${option}`, path]);
    },
    unmount: async () => {
      await run('umount', ['--lazy', path]);
      await rmdir(path);
    },
  };
}

/** Leaves a disk without a free byte. */
export function fillDisk(path: string): void {
  for (const bytes of [64 * 1024, 4096, 1]) {
    try {
      for (;;) appendFileSync(join(path, 'filler'), Buffer.alloc(bytes));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }
}
