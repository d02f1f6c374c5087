import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

const textOf = (name: string) => readFile(new URL(`../../${name}`, import.meta.url), 'utf8');

describe('the library of the shared queue', () => {
  // The lease of a fire is written into its table, which another version may have changed.
  it('is wanted in one version, everywhere', async () => {
    const { optionalDependencies, devDependencies } = JSON.parse(await textOf('package.json'));
    const version = optionalDependencies['pg-boss'];
    assert.match(version, /^\d+\.\d+\.\d+$/);
    assert.equal(devDependencies['pg-boss'], version);
    for (const file of ['lib/queue/shared-fires.ts', 'docs/store.md']) {
      assert.ok((await textOf(file)).includes(`npm install pg-boss@${version}`), file);
    }
  });
});
