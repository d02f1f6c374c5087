import { BackupError } from '../errors.ts';

/** Longest name of one path component, in bytes of UTF-8: what nearly every file system and server takes. */
export const MAX_NAME_BYTES = 255;

/**
 * Splits the path of an object into its components, after refusing what could climb out of the root or
 * what some storage cannot hold. Names that begin with a dot are reserved for unfinished files.
 * @throws BackupError `invalid-config`
 */
export function splitObjectPath(path: string): string[] {
  if (path === '') throw invalid(path, 'it is empty');
  const names = path.split('/');
  for (const name of names) {
    const problem = problemOfName(name);
    if (problem !== undefined) throw invalid(path, problem);
  }
  return names;
}

/** The same for the folder that `list` is given, where empty means the root. */
export function splitFolderPath(path: string): string[] {
  return path === '' ? [] : splitObjectPath(path);
}

/** True for a name that an object or folder of ours can have: listings leave out the others. */
export function isObjectName(name: string): boolean {
  return problemOfName(name) === undefined;
}

function problemOfName(name: string): string | undefined {
  if (name === '') return 'it begins or ends with a slash, or holds two in a row';
  if (name === '.' || name === '..') return `"${name}" may not be part of it`;
  if (name.startsWith('.')) return 'names that begin with a dot are reserved for unfinished files';
  if (name.includes('\\')) return 'it holds a backslash';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing exactly these
  if (/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(name))
    return 'it holds a control character or a line break';
  if (!name.isWellFormed()) return 'it is not valid Unicode';
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) return `a name in it is longer than ${MAX_NAME_BYTES} bytes`;
  return undefined;
}

function invalid(path: string, problem: string): BackupError {
  return new BackupError('invalid-config', `${JSON.stringify(path)} is not a valid object path: ${problem}`);
}
