import { BackupError } from '../../errors.ts';
import { isObjectName, splitFolderPath, splitObjectPath } from '../path.ts';

/** Longest key that S3 takes, in bytes of UTF-8. */
const MAX_KEY_BYTES = 1024;

/** Translates paths of objects to keys in the bucket, and back. */
export class KeySpace {
  /** What all our keys begin with: empty, or a folder with a slash at its end. */
  readonly root: string;

  /** @throws BackupError `invalid-config` for a folder that no path of ours can have */
  constructor(prefix: string) {
    splitFolderPath(prefix);
    this.root = prefix === '' ? '' : `${prefix}/`;
  }

  /** @throws BackupError `invalid-config` */
  keyOf(path: string): string {
    splitObjectPath(path);
    return this.#checked(this.root + path);
  }

  /**
   * What the keys of all objects in that folder begin with.
   * @throws BackupError `invalid-config`
   */
  folderKey(path: string): string {
    splitFolderPath(path);
    return this.#checked(path === '' ? this.root : `${this.root}${path}/`);
  }

  /** Undefined for a key that is none of ours: that of another program, or the mark of an empty folder. */
  pathOf(key: string): string | undefined {
    if (!key.startsWith(this.root)) return undefined;
    const path = key.slice(this.root.length);
    return path.split('/').every(isObjectName) ? path : undefined;
  }

  #checked(key: string): string {
    const bytes = Buffer.byteLength(key);
    if (bytes <= MAX_KEY_BYTES) return key;
    throw new BackupError(
      'invalid-config',
      `${JSON.stringify(key)} has ${bytes} bytes, and S3 takes ${MAX_KEY_BYTES}: use shorter names or a shorter folder`,
    );
  }
}
