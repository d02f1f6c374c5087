import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { dbackup } from '../support/runner-process.ts';

describe('dbackup on what is said of stored sets', function () {
  this.timeout(240_000);
  let work: RunnerWorkspace;
  let ids: string[];

  before(async () => {
    work = new RunnerWorkspace();
    for (let run = 1; run <= 2; run += 1) {
      const { code, stderr } = await dbackup(['run', work.flow()], { env: work.env() });
      assert.equal(code, 0, stderr);
    }
    ids = readdirSync(join(work.first, 'shop')).sort();
    assert.equal(ids.length, 2);
  });

  after(() => work.remove());

  const call = (...args: string[]) =>
    dbackup([...args, '--storage', work.first], { env: work.env(), cwd: work.root });
  const older = () => `shop/${ids[0]}`;
  const file = (id = ids[0] ?? '') => join(work.first, 'shop', id, 'annotations.json');

  async function listed(...args: string[]): Promise<string[]> {
    const { code, stdout, stderr } = await call('list', '--json', ...args);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout).sets.map((set: { set: string }) => set.set);
  }

  it('writes tags, a note and a pin beside the set, and takes them back', async () => {
    assert.equal((await call('tag', older(), 'pre-migration', 'v1')).code, 0);
    assert.equal((await call('note', older(), 'before the move')).code, 0);
    const pinned = await call('pin', older());
    assert.match(pinned.stdout, /: pinned, tags pre-migration, v1, note: before the move$/m);
    const { tags, note, pinned: isPinned } = JSON.parse(readFileSync(file(), 'utf8'));
    assert.deepEqual([tags, note, isPinned], [['pre-migration', 'v1'], 'before the move', true]);

    const { stdout: shown } = await call('show', older());
    assert.match(shown, /^Tags +pre-migration, v1$/m);
    assert.match(shown, /^Note +before the move$/m);
    assert.match(shown, /^Pinned +yes/m);
    assert.match(shown, /^Rows +\d+ in \d+ tables?$/m);
    const { stdout: table } = await call('list');
    assert.match(table, new RegExp(`${ids[0]}.*pinned, pre-migration, v1$`, 'm'));

    assert.deepEqual(await listed('--tag', 'v1', '--tag', 'pre-migration'), [older()]);
    assert.deepEqual(await listed('--pinned'), [older()]);
    assert.deepEqual(await listed('--tag', 'v1', '--tag', 'other'), []);
    assert.deepEqual(await listed('--known-bad'), []);

    assert.equal((await call('tag', older(), 'v1', '--remove')).code, 0);
    assert.equal((await call('note', older(), '')).code, 0);
    const { stdout } = await call('unpin', older(), '--json');
    assert.deepEqual(JSON.parse(stdout), { set: older(), tags: ['pre-migration'], pinned: false });
    assert.deepEqual(await listed('--pinned'), []);
  });

  it('refuses what is no tag before it looks at the storage', async () => {
    const { code, stderr } = await dbackup(['tag', 'latest', 'two words', '--storage', '/nowhere/at/all']);
    assert.equal(code, 2);
    assert.match(stderr, /two words/);
  });

  it('takes a set for pinned whose annotations are damaged, and replaces them only when told to', async () => {
    const whole = readFileSync(file(), 'utf8');
    writeFileSync(file(), whole.slice(0, 40));
    assert.ok((await listed('--pinned')).includes(older()));
    assert.match((await call('list')).stdout, /unreadable annotations/);
    assert.match((await call('show', older())).stdout, /it counts as pinned/);
    const refused = await call('tag', older(), 'x');
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /annotations are damaged/);
    assert.equal((await call('tag', older(), 'x', '--replace-damaged')).code, 0);
    assert.deepEqual(JSON.parse(readFileSync(file(), 'utf8')).tags, ['x']);
  });

  it('restores for a test, asks, and remembers what it has found', async () => {
    const good = await call('verify', 'latest', '--level', 'restore', '--assert', 'SELECT 1 => 1');
    assert.equal(good.code, 0, good.stderr);
    assert.match(good.stdout, /restored, \d+ rows in \d+ tables as dumped, 1 assertion held/);
    const bad = await call('verify', 'latest', '--level', 'restore', '--assert', 'SELECT 1 => 2');
    assert.equal(bad.code, 1);
    assert.match(bad.stderr, /known as bad from now on/);
    assert.deepEqual(await listed('--known-bad'), [`shop/${ids[1]}`]);
    assert.match((await call('show', 'latest')).stdout, /^KNOWN BAD +since .*SELECT 1 gave 1, expected 2$/m);
    const misspelt = await call('verify', 'latest', '--level', 'restore', '--assert', 'SELECT 1');
    assert.equal(misspelt.code, 2);
  });

  it('tells why the mark of an assertion stays, and takes it back when that is to be forgotten', async () => {
    const remedy = /asks again what failed.*: \[.+\] SELECT 1 => 2\. .*--forget-assertions/;
    assert.match((await call('show', 'latest')).stdout, remedy);
    const again = await call('verify', 'latest', '--level', 'restore');
    assert.equal(again.code, 0);
    assert.match(again.stderr, /holds, but stays known as bad: /);
    assert.match(again.stderr, remedy);
    const hash = await call('verify', 'latest', '--json');
    assert.match(JSON.parse(hash.stdout).stillBad, remedy);
    assert.deepEqual(await listed('--known-bad'), [`shop/${ids[1]}`]);
    for (const wrong of [
      ['--level', 'content'],
      ['--level', 'restore', '--no-record'],
    ]) {
      const refused = await call('verify', 'latest', '--forget-assertions', ...wrong);
      assert.equal(refused.code, 2);
      assert.match(refused.stderr, /--forget-assertions is for test restores/);
    }
    const forgotten = await call('verify', 'latest', '--level', 'restore', '--forget-assertions');
    assert.equal(forgotten.code, 0, forgotten.stderr);
    assert.deepEqual(await listed('--known-bad'), []);
  });

  it('looks at the sets of a job, at the one that was not looked at for the longest time, at none twice', async () => {
    const all = await call('verify', 'all', '--json', '--no-record');
    assert.equal(all.code, 0, all.stderr);
    assert.equal(JSON.parse(all.stdout).sets.length, 2);
    const first = JSON.parse((await call('verify', 'unverified', '--json')).stdout);
    const second = JSON.parse((await call('verify', 'unverified', '--json')).stdout);
    assert.deepEqual(
      [first.set, second.set].sort(),
      ids.map((id) => `shop/${id}`),
    );
    assert.equal(JSON.parse((await call('verify', 'random', '--json')).stdout).ok, true);
    assert.ok(existsSync(file(ids[1])));
  });
});
