import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { RsyncOptionsInput } from '../../../lib/destinations/rsync/options.ts';
import { createRsyncDestination } from '../../../lib/destinations/rsync/rsync.ts';
import type { TestSshd } from '../../servers/sshd.ts';
import { freePort } from '../../support/free-port.ts';
import { killedStorageWriter } from '../../support/killed-storage-writer.ts';
import type { BrokenStorage, OpenStorage } from '../destination.suite.ts';

/** A server of a test that rsync stores on. */
export interface RsyncServer {
  /** A folder for storages that belongs to the account of the server, as it lies on this disk. */
  readonly home: string;
  /** The same for the server; empty, or ending in a slash. */
  readonly base: string;
  readonly settings: RsyncOptionsInput;
}

/** Signs in with a key. */
export function rsyncOverSsh(sshd: TestSshd): RsyncServer {
  const { host, port, user, key, hostKeys, folder, root } = sshd;
  const address = { transport: 'ssh-key' as const, host, port, user };
  const settings = { ...address, hostKeys: [hostKeys.ed25519], privateKey: key.text, timeout: 30 };
  return { home: folder, base: `${root}/`, settings };
}

/** A fresh folder on the server, as the suite wants it. */
export async function openRsyncStorage(server: RsyncServer): Promise<OpenStorage> {
  const root = `root of ${randomBytes(6).toString('hex')}`;
  const path = join(server.home, root);
  await makeFolder(server, path);
  const options = { ...server.settings, root: `${server.base}${root}` };
  const recipe = {
    module: new URL('../../../lib/destinations/rsync/rsync.ts', import.meta.url).href,
    create: 'createRsyncDestination',
    options,
  };
  return {
    driver: createRsyncDestination(options),
    again: () => createRsyncDestination(options),
    traces: async () => await entriesBelow(path),
    // Earlier there is nothing on the server: the stream goes to the spool first.
    dieWriting: async (object) => await killedStorageWriter(recipe, object, 'commit'),
    plant: async (object, content) => {
      await makeFolder(server, dirname(join(path, object)));
      await writeFile(join(path, object), content);
    },
    close: async () => await rm(path, { recursive: true, force: true }),
  };
}

/** A storage of the suite that does not work, by options that differ from the server's. */
export function brokenRsync(
  server: () => RsyncServer,
  broken: Omit<BrokenStorage, 'open'> & { options(): Promise<Record<string, unknown>> },
): BrokenStorage {
  return {
    ...broken,
    open: async () => {
      const options = { ...server().settings, ...(await broken.options()) };
      return { driver: createRsyncDestination(options as RsyncOptionsInput) };
    },
  };
}

/** A folder that belongs to the server's account, with those above it. */
export async function makeFolder(server: RsyncServer, path: string): Promise<void> {
  const made = await mkdir(path, { recursive: true });
  if (made === undefined || process.getuid?.() !== 0) return;
  const { uid, gid } = await stat(server.home);
  for (let folder = path; folder.length >= made.length; folder = dirname(folder)) {
    await chown(folder, uid, gid);
  }
}

/** A folder that the server's account may read only; its name for the server. */
export async function unwritable(server: RsyncServer): Promise<string> {
  const path = join(server.home, 'read-only');
  await makeFolder(server, path);
  await chmod(path, 0o555);
  return `${server.base}read-only`;
}

/** What does not work with either transport. */
export function brokenFolders(server: () => RsyncServer): BrokenStorage[] {
  const broken = (storage: Parameters<typeof brokenRsync>[1]) => brokenRsync(server, storage);
  return [
    broken({
      name: 'the folder is missing',
      code: 'not-found',
      message: /nowhere does not exist: create it/,
      options: async () => ({ root: `${server().base}nowhere` }),
    }),
    broken({
      name: 'the folder is a file',
      code: 'invalid-config',
      message: /a-file/,
      options: async () => {
        await writeFile(join(server().home, 'a-file'), '');
        return { root: `${server().base}a-file` };
      },
    }),
    broken({
      name: 'nothing listens there',
      code: 'unavailable',
      message: /ECONNREFUSED/,
      options: async () => ({ port: await freePort() }),
    }),
    broken({
      name: 'the folder may not be written',
      code: 'permission',
      message: /[Dd]enied/,
      options: async () => ({ root: await unwritable(server()) }),
      fails: ['probe', 'write'],
    }),
    broken({
      name: 'rsync is not installed here',
      code: 'unavailable',
      message: /no-such-rsync cannot be run.*install the package rsync/,
      options: async () => ({ program: '/nowhere/no-such-rsync' }),
    }),
  ];
}

/** Everything below a folder of this disk; folders end in a slash. */
export async function entriesBelow(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .map((entry) => {
      const path = join(entry.parentPath, entry.name).slice(root.length + 1);
      return entry.isDirectory() ? `${path}/` : path;
    })
    .sort();
}
