#!/usr/bin/env node
import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

// Compiled code is kept between runs, which halves the time to start; in this user's own folder, since
// code from a folder that others can write to would run with this user's secrets.
enableCompileCache(join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'dbackup'));
const { main } = await import('./program.ts');
await main(process.argv);
