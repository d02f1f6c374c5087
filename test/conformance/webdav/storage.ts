import { randomBytes } from 'node:crypto';
import { chown, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { WebdavOptionsInput } from '../../../lib/destinations/webdav/options.ts';
import { createWebdavDestination } from '../../../lib/destinations/webdav/webdav.ts';
import { killedStorageWriter } from '../../support/killed-storage-writer.ts';
import type { BrokenStorage, OpenStorage } from '../destination.suite.ts';

/** A WebDAV server of a test that keeps its files on this disk. */
export interface WebdavServer {
  /** What lies behind the URL of the settings. */
  readonly root: string;
  readonly settings: WebdavOptionsInput;
}

/** A fresh folder on the server, as the suite wants it. */
export async function openWebdavStorage(server: WebdavServer): Promise<OpenStorage> {
  const folder = `root-${randomBytes(6).toString('hex')}`;
  const path = join(server.root, folder);
  await makeFolder(server, path);
  const options = { ...server.settings, url: `${server.settings.url}/${folder}` };
  const recipe = {
    module: new URL('../../../lib/destinations/webdav/webdav.ts', import.meta.url).href,
    create: 'createWebdavDestination',
    options,
  };
  return {
    driver: createWebdavDestination(options),
    again: () => createWebdavDestination(options),
    traces: async () => await entriesBelow(path),
    // The server itself removes what a transfer leaves that broke off.
    dieWriting: async (object) => await killedStorageWriter(recipe, object, 'commit'),
    plant: async (object, content) => {
      await makeFolder(server, dirname(join(path, object)));
      await writeFile(join(path, object), content);
    },
    close: async () => await rm(path, { recursive: true, force: true }),
  };
}

/** A storage of the suite that does not work, by options that differ from the server's. */
export function brokenWebdav(
  server: () => WebdavServer,
  broken: Omit<BrokenStorage, 'open'> & { options(): Promise<Partial<WebdavOptionsInput>> },
): BrokenStorage {
  return {
    ...broken,
    open: async () => ({
      driver: createWebdavDestination({ ...server().settings, ...(await broken.options()) }),
    }),
  };
}

/** A folder that belongs to the server's account, with those above it. */
export async function makeFolder(server: WebdavServer, path: string): Promise<void> {
  const made = await mkdir(path, { recursive: true });
  if (made === undefined || process.getuid?.() !== 0) return;
  const { uid, gid } = await stat(server.root);
  for (let folder = path; folder.length >= made.length; folder = dirname(folder))
    await chown(folder, uid, gid);
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
