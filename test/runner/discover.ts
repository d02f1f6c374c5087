import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Job } from './job.ts';

/** The suites, the longest first, so that no long one is left alone at the end. */
export const SUITES = ['e2e', 'integration', 'faults', 'conformance', 'unit'] as const;

export type Suite = (typeof SUITES)[number];

/**
 * The mocha processes to run: one for all unit tests, else one for each file.
 * @param selection suites (`unit`) or test files; everything when empty
 * @throws Error when a selected suite or file does not exist or holds no test file
 */
export function jobsFor(selection: readonly string[]): Job[] {
  const chosen = selection.length === 0 ? SUITES : selection;
  return chosen.flatMap((each) => {
    if (isSuite(each)) return jobsOfSuite(each);
    if (!each.endsWith('.test.ts') || !statSync(each, { throwIfNoEntry: false })?.isFile()) {
      throw new Error(`${each} is neither a test file nor one of the suites ${SUITES.join(', ')}`);
    }
    return [{ name: each, files: [each] }];
  });
}

function isSuite(name: string): name is Suite {
  return (SUITES as readonly string[]).includes(name);
}

function jobsOfSuite(suite: Suite): Job[] {
  const folder = join('test', suite);
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .sort()
    .map((file) => join(folder, file));
  if (files.length === 0) throw new Error(`${folder} holds no test file`);
  return suite === 'unit' ? [{ name: folder, files }] : files.map((file) => ({ name: file, files: [file] }));
}
