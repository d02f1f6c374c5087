import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fromShare } from '../../../lib/destinations/smb/names.ts';
import type { SmbOptionsInput } from '../../../lib/destinations/smb/options.ts';
import { createSmbDestination } from '../../../lib/destinations/smb/smb.ts';
import type { TestSamba } from '../../servers/samba.ts';
import { killedStorageWriter } from '../../support/killed-storage-writer.ts';
import type { BrokenStorage, OpenStorage } from '../destination.suite.ts';

/** A fresh folder in a share, as the suite wants it. */
export async function openSmbStorage(
  server: TestSamba,
  settings: Partial<SmbOptionsInput> = {},
): Promise<OpenStorage> {
  const root = `root ${randomBytes(6).toString('hex')}`;
  const path = join(server.share, root);
  await makeFolder(server, path);
  const options = { ...server.settings, ...settings, root };
  const recipe = {
    module: new URL('../../../lib/destinations/smb/smb.ts', import.meta.url).href,
    create: 'createSmbDestination',
    options,
  };
  return {
    driver: createSmbDestination(options),
    again: () => createSmbDestination(options),
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
export function brokenSmb(
  server: () => TestSamba,
  broken: Omit<BrokenStorage, 'open'> & { options(): Promise<Partial<SmbOptionsInput>> },
): BrokenStorage {
  return {
    ...broken,
    open: async () => ({
      driver: createSmbDestination({ ...server().settings, ...(await broken.options()) }),
    }),
  };
}

/** A folder that belongs to the server's account, with those above it. */
export async function makeFolder({ account, share }: TestSamba, path: string): Promise<void> {
  const made = await mkdir(path, { recursive: true });
  if (made === undefined) return;
  for (let folder = path; folder.length >= made.length && folder !== share; folder = dirname(folder))
    await chown(folder, account.uid, account.gid);
}

/** A folder that the server's account may read only; its name. */
export async function unwritable(server: TestSamba): Promise<string> {
  const path = join(server.share, 'read-only');
  await makeFolder(server, path);
  await chmod(path, 0o555);
  return 'read-only';
}

/** What lies below a folder on this disk, with names as the driver has them. */
export async function entriesBelow(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .map((entry) => {
      const names = join(entry.parentPath, entry.name)
        .slice(root.length + 1)
        .split('/');
      const path = names.map((name) => fromShare(name) ?? name).join('/');
      return entry.isDirectory() ? `${path}/` : path;
    })
    .sort();
}
