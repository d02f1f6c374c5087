import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

/** The oldest Node.js that `npm ci` may run under (CONTRIBUTING.md); the scripts have a Node.js of their own. */
const OLDEST_NODE = 20;

interface LockedPackage {
  readonly optional?: boolean;
  readonly engines?: { readonly node?: string };
}

/** The lowest major that each alternative of a range such as `^18 || >=20.3` begins at, in its own order. */
function lowestMajors(range: string): number[] {
  return range.split('||').map((alternative) => Number(/\d+/.exec(alternative)?.[0] ?? 0));
}

async function readJson<T>(name: string): Promise<T> {
  return JSON.parse(await readFile(new URL(`../../${name}`, import.meta.url), 'utf8'));
}

describe('packages that the lockfile installs', () => {
  // npm leaves out an optional package without a word where its `engines` do not fit the Node.js that runs npm.
  it('leave out no optional one under the oldest Node.js that may install them', async () => {
    const lock = await readJson<{ packages: Record<string, LockedPackage> }>('package-lock.json');
    const left = Object.entries(lock.packages)
      .filter(([, { optional, engines }]) => optional && engines?.node !== undefined)
      .filter(([, { engines }]) => lowestMajors(engines?.node ?? '').every((major) => major > OLDEST_NODE))
      .map(
        ([path, { engines }]) => `${path} wants Node.js ${engines?.node}: list it under devDependencies too`,
      );
    assert.deepEqual(left, []);
  });
});
