#!/usr/bin/env node
import { mkdirSync } from 'node:fs';
import nodeModule from 'node:module';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

// Nothing else may be imported before this: an older Node would fail at what it does not know.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 9)) {
  console.error(`dbackup: This is Node.js ${process.version}, DBackup needs 22.9 or newer: update it`);
  process.exit(3);
}
keepCompiledCode();
(await import('./tune-process.ts')).tuneProcess();
const { main } = await import('./program.ts');
await main(process.argv);

/**
 * Compiled code is kept between runs, which halves the time to start; in this user's own folder, since
 * code from a folder that others can write to would run with this user's secrets.
 */
function keepCompiledCode(): void {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const folder = join(cache, 'dbackup');
  // Made here, one by one: Node would try for ever below a home that does not exist on some file systems.
  // Without a home the path is relative: the working directory may be anybody's.
  if (isAbsolute(cache) && [cache, folder].every(makeFolder)) nodeModule.enableCompileCache(folder);
}

function makeFolder(path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o700 });
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EEXIST';
  }
}
