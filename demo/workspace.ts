import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSampleDatabase } from './sample-database.ts';

export const ROOT = join(import.meta.dirname, '..');
export const QUICK_START = join(ROOT, 'flows', '01-quick-start.json');
export const RUNNER = join(ROOT, 'dist', 'runner', 'main.js');

const WORKSPACE = join(ROOT, '.demo');

/** Everything that the demo and `npm start` touch. */
export const PLACES = {
  database: join(WORKSPACE, 'app', 'shop.sqlite'),
  firstDisk: join(WORKSPACE, 'first-disk'),
  secondDisk: join(WORKSPACE, 'second-disk'),
  data: join(WORKSPACE, 'data'),
  masterKey: join(WORKSPACE, 'master.key'),
  credentialSecret: join(WORKSPACE, 'credential.secret'),
  restored: join(WORKSPACE, 'restored'),
  nodeRed: join(WORKSPACE, 'node-red'),
} as const;

/** About the size of the demo's database, in bytes. */
const DATABASE_BYTES = 100_000_000;

/** What goes into the compiled package: when one of these is newer, it is compiled again. */
const SOURCES = [
  'build',
  'flows',
  'icons',
  'lib',
  'locales',
  'nodes',
  'runner',
  'package.json',
  'tsconfig.build.json',
];

/** Compiles the package when that was not done since the last change. */
export function ensureBuilt(): void {
  const built = statSync(RUNNER, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (SOURCES.every((source) => newestIn(join(ROOT, source)) < built)) return;
  console.log('Compiling the package …');
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, 'build', 'build.ts')], {
    encoding: 'utf8',
  });
  if (status === 0) return;
  console.error(`${stdout}${stderr}\nThe package does not compile: see above`);
  process.exit(1);
}

function newestIn(path: string): number {
  const found = statSync(path);
  if (!found.isDirectory()) return found.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => newestIn(join(path, name))));
}

/** Makes the demo's database when it is not there yet; whole or not at all. */
export function ensureDatabase(): void {
  if (existsSync(PLACES.database)) return;
  console.log('Making a database of some 100 MB …');
  mkdirSync(join(WORKSPACE, 'app'), { recursive: true });
  const unfinished = `${PLACES.database}.unfinished`;
  rmSync(unfinished, { force: true });
  createSampleDatabase(unfinished, DATABASE_BYTES);
  renameSync(unfinished, PLACES.database);
}

/** Makes what opens the key vault and Node-RED's credentials, where there is none. */
export function ensureSecrets(): void {
  mkdirSync(WORKSPACE, { recursive: true });
  for (const file of [PLACES.masterKey, PLACES.credentialSecret]) {
    if (existsSync(file)) continue;
    writeFileSync(file, `${randomBytes(24).toString('base64')}\n`, { mode: 0o600 });
  }
}

/** The variables that the quick-start flow asks for. */
export function flowEnvironment(): NodeJS.ProcessEnv {
  const { DBACKUP_MASTER_KEY: _, ...inherited } = process.env;
  return {
    ...inherited,
    APP_DATABASE: PLACES.database,
    BACKUP_DIR: PLACES.firstDisk,
    BACKUP_DIR_2: PLACES.secondDisk,
    DBACKUP_MASTER_KEY_FILE: PLACES.masterKey,
    DBACKUP_DATA: PLACES.data,
  };
}
