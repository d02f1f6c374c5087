import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, chmod, mkdir, mkdtemp, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { tryFileLock } from '../../lib/file-lock.ts';
import { skipBecause } from '../support/skip.ts';

const run = promisify(execFile);

/** How long unpacking, also by another process, may take, in ms. */
const UNPACK_MS = 15 * 60_000;
/** A folder of nothing else: what shares it could make it first, and readable by itself only. */
const CACHE = join(tmpdir(), 'dbackup-foreign-suites');
const LOADERS: Partial<Record<NodeJS.Architecture, string>> = {
  x64: 'usr/lib64/ld-linux-x86-64.so.2',
  arm64: 'usr/lib/ld-linux-aarch64.so.1',
};

/** Packages of another Debian suite than the one that is installed. */
export interface ForeignPackages {
  readonly suite: 'trixie' | 'forky' | 'sid' | 'bookworm-backports';
  readonly packages: readonly string[];
  /** Folders, as the packages name them, whose programs shall run here: `/usr/lib/postgresql/17/bin`. */
  readonly programs: readonly string[];
  /** Folders of libraries beside the usual ones, below `/usr/lib/<architecture>`: `ceph`. */
  readonly libraries?: readonly string[];
}

/** The packages cannot be had: no network, no mmdebstrap, not in the suite any more. */
export class ForeignSuiteError extends Error {}

/**
 * Unpacks packages with what they depend on into a folder that later runs find again. Nothing of the machine
 * is changed, and no script of a package is run. Takes 10 s and a download of 100 MB, so that hooks need a
 * `this.timeout` of minutes.
 * @returns the folder, readable by every user, below which the packages have their paths
 * @throws ForeignSuiteError when they cannot be had
 */
export async function unpackForeign(wanted: ForeignPackages): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(wanted)).digest('hex').slice(0, 8);
  const root = join(CACHE, `${wanted.suite}-${wanted.packages[0]}-${hash}`);
  if (await isThere(root)) return root;
  await mkdir(CACHE, { recursive: true });
  // The servers run as users of their own, whatever this process lets others read.
  await chmod(CACHE, 0o755);
  const lock = await lockOf(`${root}.lock`);
  try {
    if (!(await isThere(root))) await unpack(wanted, root);
    return root;
  } finally {
    lock.release();
  }
}

/** Does `work`, or skips the tests with the reason when it needs packages that cannot be had. */
export async function orSkip<T>(context: Mocha.Context, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ForeignSuiteError) return skipBecause(context, `foreign suite: ${error.message}`);
    throw error;
  }
}

async function unpack(wanted: ForeignPackages, root: string): Promise<void> {
  const unfinished = await mkdtemp(`${root}.new-`);
  try {
    await mmdebstrap(wanted, unfinished);
    await Promise.all(
      ['var', 'usr/share/doc'].map((part) => rm(join(unfinished, part), { recursive: true, force: true })),
    );
    for (const folder of wanted.programs) await wrapPrograms(unfinished, root, folder, wanted.libraries);
    await rename(unfinished, root);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    throw error;
  }
}

async function mmdebstrap({ suite, packages }: ForeignPackages, root: string): Promise<void> {
  try {
    const args = [
      '--variant=extract',
      '--keyring=/usr/share/keyrings/debian-archive-keyring.gpg',
      '--aptopt=Acquire::Check-Valid-Until "false"',
      '--aptopt=Acquire::Check-Date "false"',
      '--aptopt=APT::Install-Recommends "false"',
      `--include=${[...packages, 'libc-bin'].join(',')}`,
      suite,
      root,
      `deb ${await mirror()} ${suite} main`,
    ];
    await run('mmdebstrap', args, { timeout: UNPACK_MS, maxBuffer: 64 * 1024 * 1024 });
  } catch (error) {
    const { message, stderr = '' } = error as Error & { stderr?: string };
    const why = stderr.split('\n').filter((line) => /^E:|error/i.test(line));
    throw new ForeignSuiteError(`${packages.join(', ')} of ${suite}: ${why[0] ?? message.split('\n')[0]}`);
  }
}

/** Where this machine gets its own packages from. */
async function mirror(): Promise<string> {
  const { stdout } = await run('apt-get', [
    'indextargets',
    '--format',
    '$(REPO_URI)',
    'Created-By: Packages',
  ]);
  const found = stdout.split('\n').find((uri) => uri !== '' && !uri.includes('security'));
  if (found === undefined) throw new ForeignSuiteError('apt names no mirror');
  return found;
}

/**
 * Puts a script in the place of each program, which starts it with the libraries that it came with. The
 * program still believes to be where it was, and finds its files and the programs beside it.
 */
async function wrapPrograms(
  unfinished: string,
  root: string,
  folder: string,
  more: readonly string[] = [],
): Promise<void> {
  const loader = LOADERS[process.arch];
  if (loader === undefined) throw new ForeignSuiteError(`no loader is known for ${process.arch}`);
  const libraries = (await readdir(join(unfinished, 'usr/lib'))).filter((name) =>
    name.includes('-linux-gnu'),
  );
  const path = libraries
    .flatMap((name) => [name, ...more.map((each) => join(name, each))])
    .map((name) => join(root, 'usr/lib', name))
    .join(':');
  for (const entry of await readdir(join(unfinished, folder), { withFileTypes: true })) {
    const { name } = entry;
    const program = join(unfinished, folder, name);
    // A link leads to a program that gets its script itself.
    if (!entry.isFile() || !(await isElf(program))) continue;
    await rename(program, `${program}.bin`);
    const place = join(root, folder, name);
    const command = [join(root, loader), ...['--library-path', path], ...['--argv0', place, `${place}.bin`]];
    await writeFile(program, `#!/bin/sh\nexec ${command.map(quoted).join(' ')} "$@"\n`, { mode: 0o755 });
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

async function isElf(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0);
    return buffer.toString('latin1') === '\x7fELF';
  } finally {
    await file.close();
  }
}

async function lockOf(path: string) {
  const deadline = Date.now() + UNPACK_MS;
  for (;;) {
    const lock = tryFileLock(path);
    if (lock !== undefined) return lock;
    if (Date.now() > deadline) throw new ForeignSuiteError(`${path} is held for too long`);
    await wait(200);
  }
}

async function isThere(path: string): Promise<boolean> {
  return access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
}
