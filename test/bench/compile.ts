import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const OUTPUT = join(ROOT, '.cache/bench');

/** Where the compiled children lie. */
export const CHILDREN = join(OUTPUT, 'test/bench/children');

/** The command, as the build makes it. */
export const RUNNER = join(ROOT, 'dist/runner/main.js');

/** The flow that it runs: SQLite, zstd -3, `.dbk`, two local destinations. */
export const FLOW = join(ROOT, 'flows/01-quick-start.json');

/**
 * Compiles our side as it is shipped, so that no time goes into stripping types; the compile cache is on,
 * as in the runner.
 */
export function compileChildren(): void {
  process.env.NODE_COMPILE_CACHE = join(OUTPUT, 'code');
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  mkdirSync(OUTPUT, { recursive: true });
  copyFileSync(join(ROOT, 'package.json'), join(OUTPUT, 'package.json'));
  execFileSync(process.execPath, [tsc, '-p', join(import.meta.dirname, 'tsconfig.json')], {
    stdio: 'inherit',
  });
  execFileSync(process.execPath, [join(ROOT, 'build/build.ts')], { stdio: 'inherit' });
}
