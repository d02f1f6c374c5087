import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import type { SourceDriver } from '../../lib/sources/driver.ts';
import { createCompress } from '../../lib/transforms/compress.ts';
import { runEngine } from './engine-run.ts';

/** Stores a set of this source, compressed, and returns its folder. */
export async function storeSet(
  source: SourceDriver,
  { root, driver }: { readonly root: string; readonly driver: DestinationDriver },
): Promise<string> {
  const steps = [{ node: 'zstd', transform: createCompress({ algorithm: 'zstd' }) }];
  const { outcomes, result } = await runEngine(source, [{ to: driver, name: 'a', steps }]);
  const outcome = outcomes.get('a');
  assert.ok(outcome?.status === 'fulfilled' && result.state === 'succeeded', JSON.stringify(result));
  return join(root, 'sets', outcome.value.reference.path);
}

/**
 * Runs every shell block of a set's RESTORE.md in its folder, as it stands.
 * @returns what the commands said
 */
export async function followGuide(set: string, env: Readonly<Record<string, string>>): Promise<string> {
  const guide = await readFile(join(set, 'RESTORE.md'), 'utf8');
  let said = '';
  for (const [, block = ''] of guide.matchAll(/```sh\n(.*?)```/gs)) {
    const { status, stdout, stderr } = spawnSync('sh', ['-e', '-c', block], {
      cwd: set,
      env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', ...env },
      encoding: 'utf8',
      input: '',
      maxBuffer: 64 * 1024 * 1024,
    });
    assert.equal(status, 0, `${block}\n${stdout}\n${stderr}\n${guide}`);
    said += stdout + stderr;
  }
  return said;
}
