import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createFtpDestination } from '../../../lib/destinations/ftp/ftp.ts';
import type { FtpOptionsInput } from '../../../lib/destinations/ftp/options.ts';
import { killedStorageWriter } from '../../support/killed-storage-writer.ts';
import type { BrokenStorage, OpenStorage } from '../destination.suite.ts';

/** An FTP server of a test. */
export interface FtpServer {
  /** The login folder, as it lies on this disk. */
  readonly home: string;
  readonly settings: FtpOptionsInput;
}

/** A fresh folder on the server, as the suite wants it. */
export async function openFtpStorage(server: FtpServer): Promise<OpenStorage> {
  const root = `root-${randomBytes(6).toString('hex')}`;
  const path = join(server.home, root);
  await makeFolder(server, path);
  const options = { ...server.settings, root };
  const recipe = {
    module: new URL('../../../lib/destinations/ftp/ftp.ts', import.meta.url).href,
    create: 'createFtpDestination',
    options,
  };
  return {
    driver: createFtpDestination(options),
    again: () => createFtpDestination(options),
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
export function brokenFtp(
  server: () => FtpServer,
  broken: Omit<BrokenStorage, 'open'> & { options(): Promise<Partial<FtpOptionsInput>> },
): BrokenStorage {
  return {
    ...broken,
    open: async () => ({
      driver: createFtpDestination({ ...server().settings, ...(await broken.options()) }),
    }),
  };
}

/** A folder that belongs to the server's account, with those above it. */
export async function makeFolder(server: FtpServer, path: string): Promise<void> {
  const made = await mkdir(path, { recursive: true });
  if (made === undefined || process.getuid?.() !== 0) return;
  const { uid, gid } = await stat(server.home);
  for (let folder = path; folder.length >= made.length; folder = dirname(folder))
    await chown(folder, uid, gid);
}

/** A folder that the server's account may read only; its name. */
export async function unwritable(server: FtpServer): Promise<string> {
  const path = join(server.home, 'read-only');
  await makeFolder(server, path);
  await chmod(path, 0o555);
  return 'read-only';
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
