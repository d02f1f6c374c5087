import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { SftpOptionsInput } from '../../../lib/destinations/sftp/options.ts';
import { createSftpDestination } from '../../../lib/destinations/sftp/sftp.ts';
import { killedStorageWriter } from '../../support/killed-storage-writer.ts';
import type { BrokenStorage, OpenStorage } from '../destination.suite.ts';

/** An SFTP server of a test. */
export interface SftpServer {
  /** A folder of the server's user, as it lies on this disk. */
  readonly folder: string;
  /** The same as the server knows it. */
  readonly root: string;
  readonly settings: SftpOptionsInput;
}

/** A fresh folder on the server, as the suite wants it. */
export async function openSftpStorage(server: SftpServer): Promise<OpenStorage> {
  const name = `root-${randomBytes(6).toString('hex')}`;
  const path = join(server.folder, name);
  await makeFolder(server, path);
  const options = { ...server.settings, root: `${server.root}/${name}` };
  const recipe = {
    module: new URL('../../../lib/destinations/sftp/sftp.ts', import.meta.url).href,
    create: 'createSftpDestination',
    options,
  };
  return {
    driver: createSftpDestination(options),
    again: () => createSftpDestination(options),
    traces: async () => await entriesBelow(path),
    dieWriting: async (object) => await killedStorageWriter(recipe, object),
    plant: async (object, content) => {
      await makeFolder(server, dirname(join(path, object)));
      await writeFile(join(path, object), content);
    },
    close: async () => await rm(path, { recursive: true, force: true }),
  };
}

/** A storage of the suite that does not work, by options that differ from the server's. */
export function brokenSftp(
  server: () => SftpServer,
  broken: Omit<BrokenStorage, 'open'> & { options(): Promise<Partial<SftpOptionsInput>> },
): BrokenStorage {
  return {
    ...broken,
    open: async () => {
      const { settings, root } = server();
      const options = { ...settings, root, ...(await broken.options()) } as SftpOptionsInput;
      return { driver: createSftpDestination(options) };
    },
  };
}

/** A folder that belongs to the server's user, with those above it. */
export async function makeFolder(server: Pick<SftpServer, 'folder'>, path: string): Promise<void> {
  const made = await mkdir(path, { recursive: true });
  if (made === undefined || process.getuid?.() !== 0) return;
  const { uid, gid } = await stat(server.folder);
  for (let folder = path; folder.length >= made.length; folder = dirname(folder))
    await chown(folder, uid, gid);
}

/** A folder that the server's user may read only; its name. */
export async function unwritable(server: SftpServer): Promise<string> {
  const path = join(server.folder, 'read-only');
  await makeFolder(server, path);
  await chmod(path, 0o555);
  return `${server.root}/read-only`;
}

async function entriesBelow(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .map((entry) => {
      const path = join(entry.parentPath, entry.name).slice(root.length + 1);
      return entry.isDirectory() ? `${path}/` : path;
    })
    .sort();
}
