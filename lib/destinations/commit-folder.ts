import { createHash } from 'node:crypto';

/**
 * The names of the hidden folder that is held while an object gets its name: making a folder is what FTP and
 * WebDAV do atomically, and refuse when it is there. It matches the names of unfinished files, so that a sweep
 * finds it, and is without the object's own name, since servers refuse for folders what they take for files.
 */
export function commitFolder(names: readonly string[]): string[] {
  const digest = createHash('sha256')
    .update(names.at(-1) ?? '')
    .digest('hex');
  return [...names.slice(0, -1), `.commit.${digest.slice(0, 16)}.partial`];
}
