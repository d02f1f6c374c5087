import { join } from 'node:path';
import { CHILDREN } from './compile.ts';

/** `pipefail`, and a wait for the process behind `tee >(…)`, so that a pipeline ends when all of it has. */
export function pipeline(text: string): string[] {
  return ['bash', '-c', `set -euo pipefail; ${text}; wait`];
}

/** One of our side's programs. */
export function child(name: string, ...args: string[]): string[] {
  return [process.execPath, join(CHILDREN, `${name}.js`), ...args];
}
