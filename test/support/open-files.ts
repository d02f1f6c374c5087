import { readdir, readlink } from 'node:fs/promises';

/** What this process has open below a folder. Known on Linux only: elsewhere nothing. */
export async function openFilesBelow(folder: string): Promise<string[]> {
  if (process.platform !== 'linux') return [];
  const paths: string[] = [];
  for (const descriptor of await readdir('/proc/self/fd')) {
    // The descriptor that lists them is closed by now.
    const path = await readlink(`/proc/self/fd/${descriptor}`).catch(() => '');
    if (path === folder || path.startsWith(`${folder}/`)) paths.push(path);
  }
  return paths;
}
