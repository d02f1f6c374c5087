import { BackupError } from '../../errors.ts';
import { isObjectName, MAX_NAME_BYTES, splitFolderPath, splitObjectPath } from '../path.ts';

/** Longest path in a share, in bytes: a command of smbclient, with two of them, must fit into 8 KiB. */
const MAX_PATH_BYTES = 3000;

/**
 * Characters that names in a share cannot hold, and those that stand for them: the mapping of Services for
 * Macintosh, which macOS, Linux (`mapposix` of mount.cifs) and Samba (vfs_fruit, vfs_catia) use too.
 * Source: Linux, fs/smb/common/cifs_unicode.h, SFM_*. The backslash and control characters are no part of paths.
 */
const STAND_INS: ReadonlyMap<string, string> = new Map([
  ['"', '\uf020'],
  ['*', '\uf021'],
  [':', '\uf022'],
  ['<', '\uf023'],
  ['>', '\uf024'],
  ['?', '\uf025'],
  ['|', '\uf027'],
]);
const FORBIDDEN = /["*:<>?|]/g;
const STAND_IN = /[\uf020-\uf025\uf027]/g;
const ORIGINALS = new Map([...STAND_INS].map(([original, standIn]) => [standIn, original]));

/** Windows drops blanks and dots at the end of a name. */
const ENDINGS: ReadonlyMap<string, string> = new Map([
  [' ', '\uf028'],
  ['.', '\uf029'],
]);

/**
 * Names of devices, whatever their extension. As Cygwin does, the first letter stands in the private area.
 * https://learn.microsoft.com/windows/win32/fileio/naming-a-file
 */
const DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?=$|\.)/i;
const PRIVATE = 0xf000;
const PRIVATE_LETTER = /^[\uf041-\uf05a\uf061-\uf07a]/;

/** What our stand-ins, or others' for other characters, look like. */
const ANY_STAND_IN = /[\uf001-\uf07f]/;

/**
 * The names of an object in the share, in the form that the share takes.
 * @throws BackupError `invalid-config`
 */
export function shareNames(path: string): string[] {
  return splitObjectPath(path).map((name) => toShare(name, path));
}

/** The same for the folder that `list` is given, where empty means the root. */
export function shareFolderNames(path: string): string[] {
  return splitFolderPath(path).map((name) => toShare(name, path));
}

/** The name of an object or folder of ours that has this name in the share; undefined for others. */
export function fromShare(name: string): string | undefined {
  const letter = PRIVATE_LETTER.test(name) ? String.fromCharCode(name.charCodeAt(0) - PRIVATE) : '';
  const whole = letter !== '' && DEVICE.test(letter + name.slice(1)) ? letter + name.slice(1) : name;
  const ours = whole
    .replace(/\uf028$/, ' ')
    .replace(/\uf029$/, '.')
    .replace(STAND_IN, (standIn) => ORIGINALS.get(standIn) ?? standIn);
  return isObjectName(ours) ? ours : undefined;
}

/**
 * A path in the share as smbclient takes it. It has no character by which the quotes could end early, nor one
 * that would make it a pattern.
 * @throws BackupError `invalid-config` for what is too long
 */
export function sharePath(root: readonly string[], names: readonly string[]): string {
  const path = `\\${[...root, ...names].join('\\')}`;
  if (Buffer.byteLength(path) <= MAX_PATH_BYTES) return path;
  throw new BackupError(
    'invalid-config',
    `A path in the share is longer than ${MAX_PATH_BYTES} bytes: ${path}`,
  );
}

/** Why a folder of the share cannot be the storage's; undefined when it can. */
export function problemOfRoot(names: readonly string[]): string | undefined {
  for (const name of names) {
    if (name === '.' || name === '..') return `"${name}" may not be part of it`;
    if (/["*:<>?|\p{Cc}]/u.test(name)) return 'it holds one of the characters " * : < > ? |';
    if (/[ .]$/.test(name)) return 'a name in it ends with a blank or a dot';
    if (DEVICE.test(name)) return `"${name}" is the name of a device`;
  }
  return undefined;
}

function toShare(name: string, path: string): string {
  if (ANY_STAND_IN.test(name))
    throw invalid(path, 'it holds a character that stands for a forbidden one in shares');
  const legal = name
    .replace(FORBIDDEN, (character) => STAND_INS.get(character) ?? character)
    .replace(/[ .]$/, (character) => ENDINGS.get(character) ?? character)
    .replace(DEVICE, (device) => String.fromCharCode(PRIVATE + device.charCodeAt(0)) + device.slice(1));
  if (Buffer.byteLength(legal) > MAX_NAME_BYTES) {
    throw invalid(path, `a name in it is longer than ${MAX_NAME_BYTES} bytes in the form that shares need`);
  }
  return legal;
}

function invalid(path: string, problem: string): BackupError {
  return new BackupError('invalid-config', `${JSON.stringify(path)} is not a valid object path: ${problem}`);
}
