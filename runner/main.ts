#!/usr/bin/env node
import nodeModule from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

// Nothing else may be imported before this: an older Node would fail at what it does not know.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 9)) {
  console.error(`dbackup: This is Node.js ${process.version}, DBackup needs 22.9 or newer: update it`);
  process.exit(3);
}
// Compiled code is kept between runs, which halves the time to start; in this user's own folder, since
// code from a folder that others can write to would run with this user's secrets.
nodeModule.enableCompileCache(join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'dbackup'));
const { main } = await import('./program.ts');
await main(process.argv);
