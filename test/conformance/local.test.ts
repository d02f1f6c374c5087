import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import type { LocalOptionsInput } from '../../lib/destinations/local/options.ts';
import type { ErrorCode } from '../../lib/errors.ts';
import { killedWriter } from '../support/killed-writer.ts';
import { type BrokenStorage, describeDestination } from './destination.suite.ts';

const GIB = 1024 ** 3;

describeDestination({
  name: 'local',
  // Beyond 4 GiB, where a 32-bit position would wrap around.
  largeObjectBytes: 4 * GIB + 3,
  broken: [
    brokenStorage(
      'the root is missing',
      'not-found',
      /missing does not exist: mount its disk, create it/,
      async (home) => ({
        root: join(home, 'missing'),
      }),
    ),
    brokenStorage('the root is a file', 'invalid-config', /a-file.* a file, not a folder/, async (home) => {
      await writeFile(join(home, 'a-file'), '');
      return { root: join(home, 'a-file') };
    }),
    brokenStorage(
      'nothing is mounted on the root',
      'invalid-config',
      /Nothing is mounted on /,
      async (home) => ({
        root: home,
        mountPoint: true,
      }),
    ),
  ],
  open: async () => {
    const home = await mkdtemp(join(tmpdir(), 'dbackup-local-'));
    const root = join(home, 'root');
    await mkdir(root);
    return {
      driver: createLocalDestination({ root }),
      again: () => createLocalDestination({ root }),
      traces: async () => await entriesBelow(root),
      dieWriting: async (path) => await killedWriter(root, path),
      plant: async (path, content) => {
        await mkdir(dirname(join(root, path)), { recursive: true });
        await writeFile(join(root, path), content);
      },
      close: async () => await rm(home, { recursive: true, force: true }),
    };
  },
});

async function entriesBelow(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .map((entry) => {
      const path = join(entry.parentPath, entry.name).slice(root.length + 1);
      return entry.isDirectory() ? `${path}/` : path;
    })
    .sort();
}

function brokenStorage(
  name: string,
  code: ErrorCode,
  message: RegExp,
  prepare: (home: string) => Promise<LocalOptionsInput>,
): BrokenStorage {
  return {
    name,
    code,
    message,
    open: async () => {
      const home = await mkdtemp(join(tmpdir(), 'dbackup-broken-'));
      const driver = createLocalDestination(await prepare(home));
      return { driver, close: async () => await rm(home, { recursive: true, force: true }) };
    },
  };
}
