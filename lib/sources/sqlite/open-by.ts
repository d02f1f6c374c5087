import { readdir, readlink, stat } from 'node:fs/promises';
import { basename } from 'node:path';

/**
 * The processes that have a file open, this one among them, as far as the system lets us see: Linux only,
 * and other users' processes only for root. A database with a rollback journal that is open but idle holds
 * no lock, so a lock alone does not tell.
 * @param except a process that is known to have it open
 */
export async function processesWithOpen(file: string, except?: number): Promise<number[]> {
  const wanted = await stat(file).catch(() => undefined);
  if (wanted === undefined) return [];
  const name = basename(file);
  const found: number[] = [];
  for (const pid of await numbersIn('/proc')) {
    if (pid === except) continue;
    for (const descriptor of await numbersIn(`/proc/${pid}/fd`)) {
      const link = `/proc/${pid}/fd/${descriptor}`;
      // The name first: asking about every descriptor's file could block on a dead network disk.
      const path = await readlink(link).catch(() => '');
      if (basename(path) !== name) continue;
      const open = await stat(link).catch(() => undefined);
      if (open?.dev !== wanted.dev || open.ino !== wanted.ino) continue;
      found.push(pid);
      break;
    }
  }
  return found;
}

async function numbersIn(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => /^\d+$/.test(name)).map(Number);
}
