import { BackupError } from '../../errors.ts';
import { splitFolderPath, splitObjectPath } from '../path.ts';

/** What a file system itself keeps in the root of a disk, often unreadable for others. */
const OF_THE_FILE_SYSTEM = new Set(['lost+found', 'System Volume Information', '$RECYCLE.BIN']);

/** True for a name in the storage's root that belongs to the file system. */
export function isOfTheFileSystem(name: string): boolean {
  return OF_THE_FILE_SYSTEM.has(name);
}

/** The folders and the name of an object. @throws BackupError `invalid-config` */
export function localObjectPath(path: string): { folders: string[]; name: string } {
  const names = checked(path, splitObjectPath(path));
  // A valid path has at least one component.
  return { folders: names.slice(0, -1), name: names[names.length - 1] as string };
}

/** The components of a folder; none for the root. @throws BackupError `invalid-config` */
export function localFolderPath(path: string): string[] {
  return checked(path, splitFolderPath(path));
}

function checked(path: string, names: string[]): string[] {
  const first = names[0];
  if (first === undefined || !isOfTheFileSystem(first)) return names;
  throw new BackupError(
    'invalid-config',
    `${JSON.stringify(path)} is not a valid object path: "${first}" belongs to the file system`,
  );
}
