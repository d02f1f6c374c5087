import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import { BackupError } from '../../lib/errors.ts';
import { never, rejectsWith } from '../conformance/destination/fixture.ts';
import { collect } from '../support/byte-streams.ts';
import { skipBecause } from '../support/skip.ts';

/** The user `nobody` on Debian. */
const NOBODY = 65534;

describe('local destination: nothing leaves its root', () => {
  let home: string;
  let root: string;
  let outside: string;
  let driver: DestinationDriver;

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'dbackup-links-'));
    root = join(home, 'root');
    outside = join(home, 'outside');
    await mkdir(root);
    await mkdir(join(outside, 'set'), { recursive: true });
    await writeFile(join(outside, 'set/secret'), 'secret');
    driver = createLocalDestination({ root });
  });

  afterEach(async () => await rm(home, { recursive: true, force: true }));

  it('refuses a folder that is a link, in every operation', async () => {
    await symlink(outside, join(root, 'job'));
    for (const work of [
      () => driver.write('job/a', one('x'), { signal: never }),
      () => driver.write('job/set/secret', one('x'), { signal: never, replace: true }),
      () => driver.read('job/set/secret', { signal: never }),
      () => driver.stat('job/set/secret', never),
      () => driver.remove('job/set/secret', never),
      () => paths(driver, 'job'),
      () => paths(driver, 'job/set'),
      () => paths(driver, ''),
      () => driver.sweep(new Date(Date.now() + 1e6), never),
    ]) {
      const error = await rejectsWith(work(), 'invalid-config');
      assert.match(error.message, /job is a symbolic link/);
    }
    assert.deepEqual(await readdir(outside, { recursive: true }), ['set', 'set/secret']);
    assert.equal(await readFile(join(outside, 'set/secret'), 'utf8'), 'secret');
  });

  it('refuses an object that is a link', async () => {
    await symlink(join(outside, 'set/secret'), join(root, 'a'));
    await rejectsWith(driver.read('a', { signal: never }), 'invalid-config');
    await rejectsWith(driver.stat('a', never), 'invalid-config');
    await rejectsWith(driver.remove('a', never), 'invalid-config');
    await rejectsWith(driver.write('a', one('x'), { signal: never }), 'already-exists');
    assert.equal(await readFile(join(outside, 'set/secret'), 'utf8'), 'secret');
  });

  it('replaces a link itself, not what it points to', async () => {
    await symlink(join(outside, 'set/secret'), join(root, 'a'));
    await (await driver.write('a', one('mine'), { signal: never, replace: true })).commit();
    assert.equal(await readFile(join(outside, 'set/secret'), 'utf8'), 'secret');
    assert.equal((await collect(await driver.read('a', { signal: never }))).toString(), 'mine');
  });

  it('leaves links within the root out of listings, and refuses to list past one that dangles outwards', async () => {
    await (await driver.write('job/set/a', one('a'), { signal: never })).commit();
    await symlink('job/set', join(root, 'latest'));
    await symlink('job/gone', join(root, 'dangling'));
    assert.deepEqual(await paths(driver, ''), ['job/set/a']);
    await symlink('../unmounted/job', join(root, 'elsewhere'));
    await rejectsWith(paths(driver, ''), 'invalid-config');
  });

  it('follows a link that is the root itself', async () => {
    await symlink(root, join(home, 'link'));
    const linked = createLocalDestination({ root: join(home, 'link') });
    await (await linked.write('job/a', one('a'), { signal: never })).commit();
    assert.deepEqual(await paths(driver, ''), ['job/a']);
  });

  it('does not wait for a pipe in the place of an object', async () => {
    execFileSync('mkfifo', [join(root, 'pipe')]);
    await rejectsWith(driver.read('pipe', { signal: never }), 'not-found');
    assert.deepEqual(await paths(driver, ''), []);
  });

  it('stays inside while somebody exchanges a folder for a link all the time', async function () {
    if (process.platform !== 'linux') skipBecause(this, 'only Linux offers lookups below an open folder');
    this.timeout(240_000);
    await mkdir(join(root, 'job/set'), { recursive: true });
    const exchange = `
      const { mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync } = require('node:fs');
      const [, job, outside] = process.argv;
      const aside = job + '.aside';
      const stay = () => { const until = performance.now() + 0.2; while (performance.now() < until); };
      process.stdout.write('begun');
      for (;;) {
        try {
          renameSync(job, aside);
          symlinkSync(outside, job);
          stay();
          unlinkSync(job);
          renameSync(aside, job);
          stay();
        } catch {
          try {
            rmSync(job, { recursive: true, force: true });
            rmSync(aside, { recursive: true, force: true });
            mkdirSync(job + '/set', { recursive: true });
          } catch {}
        }
      }`;
    const attacker = spawn(process.execPath, ['-e', exchange, join(root, 'job'), outside], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(attacker, 'exit');
    let refused = 0;
    try {
      await once(attacker.stdout, 'data');
      const until = Date.now() + 3000;
      for (let turn = 0; Date.now() < until; turn += 1) {
        refused += await refusals([
          async () => {
            const pending = await driver.write(`job/set/new-${turn}`, one('x'), { signal: never });
            await pending.commit().finally(() => pending.abort());
          },
          async () => await driver.remove('job/set/secret', never),
          async () => {
            const read = await collect(await driver.read('job/set/secret', { signal: never }));
            assert.notEqual(read.toString(), 'secret', 'read from outside');
          },
        ]);
      }
    } finally {
      attacker.kill('SIGKILL');
      await exited;
    }
    assert.ok(refused > 0, 'the exchange was met');
    assert.deepEqual(await readdir(outside, { recursive: true }), ['set', 'set/secret']);
  });

  describe('permissions', () => {
    before(function () {
      if (process.geteuid?.() !== 0) skipBecause(this, 'only root can become another user');
    });

    beforeEach(async () => await chmod(home, 0o755));
    afterEach(() => process.seteuid?.(0));

    it('names the user who may not write', async () => {
      await chmod(root, 0o555);
      process.seteuid?.(NOBODY);
      const error = await rejectsWith(driver.write('job/a', one('x'), { signal: never }), 'permission');
      assert.match(error.message, /user id 65534.*has no permission/);
    });

    it('fails to list what it may not read, instead of listing less', async () => {
      await (await driver.write('job/set/a', one('a'), { signal: never })).commit();
      await chmod(root, 0o755);
      process.seteuid?.(NOBODY);
      await rejectsWith(paths(driver, ''), 'permission');
      await rejectsWith(paths(driver, 'job'), 'permission');
      await rejectsWith(driver.stat('job/set/a', never), 'permission');
    });

    it('passes over the lost+found of a disk', async () => {
      await mkdir(join(root, 'lost+found'), { mode: 0o700 });
      await chmod(root, 0o777);
      process.seteuid?.(NOBODY);
      assert.deepEqual(await paths(driver, ''), []);
      await rejectsWith(driver.write('lost+found/a', one('x'), { signal: never }), 'invalid-config');
    });
  });
});

async function* one(text: string): AsyncGenerator<Buffer> {
  yield Buffer.from(text);
}

async function paths(driver: DestinationDriver, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { path } of driver.list(prefix, never)) found.push(path);
  return found.sort();
}

async function refusals(works: (() => Promise<unknown>)[]): Promise<number> {
  let refused = 0;
  for (const work of works) {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof BackupError)) throw error;
      refused += error.code === 'invalid-config' ? 1 : 0;
    }
  }
  return refused;
}
