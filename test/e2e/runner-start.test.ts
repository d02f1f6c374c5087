import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dbackup } from '../support/runner-process.ts';

describe('dbackup, starting', function () {
  this.timeout(240_000);

  it('does without a place for compiled code: a home that does not exist, or cannot be written', async () => {
    for (const env of [
      { HOME: '/proc/nonexistent' },
      { XDG_CACHE_HOME: '/proc/nonexistent' },
      { HOME: '/proc' },
    ]) {
      const { code, stdout, stderr } = await dbackup(['--version'], { env });
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
    }
  });

  it('keeps compiled code in the cache folder of its user', async () => {
    const home = await mkdtemp(join(tmpdir(), 'dbackup-home-'));
    try {
      await dbackup(['--version'], { env: { HOME: home, XDG_CACHE_HOME: undefined } });
      assert.ok(existsSync(join(home, '.cache', 'dbackup')));
    } finally {
      await rm(home, { recursive: true, force: true });
    }
  });

  it('does not take the working directory for a cache where there is no home', async () => {
    const cwd = await mkdtemp(join(tmpdir(), 'dbackup-nowhere-'));
    try {
      const { code } = await dbackup(['--version'], { cwd, env: { HOME: '', XDG_CACHE_HOME: undefined } });
      assert.equal(code, 0);
      assert.deepEqual(await readdir(cwd), []);
    } finally {
      await rm(cwd, { recursive: true, force: true });
    }
  });
});
