import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newRunId } from '../../lib/backupset/names.ts';
import { openStore } from '../../lib/store/store.ts';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { dbackup } from '../support/runner-process.ts';

const HOUR = 3_600_000;

interface SweepAnswer {
  readonly removed: boolean;
  readonly storages: readonly {
    readonly storage: string;
    readonly folders: readonly { readonly path: string; readonly files: number; readonly bytes: number }[];
    readonly unfinished: readonly string[];
    readonly left: readonly { readonly path: string; readonly why: string; readonly reason: string }[];
    readonly error?: { readonly code: string };
  }[];
}

describe('dbackup sweep', () => {
  let work: RunnerWorkspace;

  beforeEach(() => {
    work = new RunnerWorkspace(10_000);
  });

  afterEach(() => work.remove());

  /** A folder of a run that was opened so long ago, with files of then. */
  const plant = (root: string, ageMs: number, files = ['shop.sqlite.zst', 'SHA256SUMS']): string => {
    const opened = new Date(Date.now() - ageMs);
    const path = join(root, 'shop', newRunId(opened));
    mkdirSync(path, { recursive: true });
    for (const file of files) {
      writeFileSync(join(path, file), 'four');
      utimesSync(join(path, file), opened, opened);
    }
    return path;
  };
  const below = (root: string, path: string) => path.slice(root.length + 1);
  const sweep = async (...args: string[]) => dbackup(['sweep', ...args], { env: work.env() });
  const answer = async (...args: string[]): Promise<SweepAnswer> => {
    const { code, stdout, stderr } = await sweep(...args, '--json');
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  };

  it('shows what it would remove, and removes it when it is told to', async () => {
    const [orphan, young] = [plant(work.first, 30 * HOUR), plant(work.first, HOUR)];
    const strange = plant(work.first, 90 * HOUR, ['shop.sqlite', 'notes.txt']);
    const partial = join(work.first, '.x.0123456789abcdef.partial');
    writeFileSync(partial, 'x');
    utimesSync(partial, new Date(), new Date(Date.now() - 30 * HOUR));
    const before = readdirSync(work.first, { recursive: true });
    const dry = await sweep('--storage', work.first);
    assert.equal(dry.code, 0, dry.stderr);
    assert.match(dry.stdout, new RegExp(`^would remove +${below(work.first, orphan)} +2 files, 8 B, `, 'm'));
    assert.match(dry.stdout, /^would remove +\.x\.\w+\.partial +unfinished$/m);
    assert.match(dry.stdout, new RegExp(`^left +${below(work.first, young)} +it was written to at 20`, 'm'));
    assert.match(dry.stdout, new RegExp(`^left +${below(work.first, strange)} +it holds notes\\.txt`, 'm'));
    assert.match(dry.stderr, /Nothing was removed: --delete does it/);
    assert.deepEqual(readdirSync(work.first, { recursive: true }), before);
    const real = await sweep('--storage', work.first, '--delete');
    assert.equal(real.code, 0, real.stderr);
    assert.equal(real.stderr, '');
    assert.match(real.stdout, /^removed +shop/m);
    assert.deepEqual([orphan, partial, young, strange].filter(existsSync), [young, strange]);
    assert.match(
      (await sweep('--storage', work.second)).stdout,
      /holds nothing that interrupted runs have left/,
    );
  });

  it('takes all destinations of a flow, each below its folder', async () => {
    const near = plant(work.first, 30 * HOUR);
    const far = plant(join(work.second, 'deep', 'er'), 30 * HOUR);
    const elsewhere = plant(join(work.second, 'deep'), 30 * HOUR);
    const { removed, storages } = await answer('--flow', work.flow(), '--delete');
    assert.equal(removed, true);
    assert.deepEqual(
      storages.map(({ folders }) => folders.map(({ path, files, bytes }) => [path, files, bytes])),
      [[[below(work.first, near), 2, 8]], [[below(work.second, far), 2, 8]]],
    );
    assert.deepEqual([near, far, elsewhere].filter(existsSync), [elsewhere]);
    const one = await answer('--flow', work.flow(), '--storage', 'near', '--dry-run');
    assert.deepEqual([one.removed, one.storages.length], [false, 1]);
  });

  it('knows from the history what is dead, and makes none', async () => {
    const path = plant(work.first, HOUR);
    const [runId = ''] = path.split('/').slice(-1);
    assert.deepEqual(
      (await answer('--storage', work.first)).storages[0]?.left.map(({ why }) => why),
      ['young'],
    );
    assert.ok(!existsSync(work.data));
    const store = await openStore(work.data);
    await store.journal.opened({ id: runId, job: 'shop', openedAt: new Date() });
    const left = async () => (await answer('--storage', work.first)).storages[0]?.left.map(({ why }) => why);
    assert.deepEqual(await left(), ['busy']);
    await store.close();
    const { storages } = await answer('--storage', work.first);
    assert.deepEqual(
      storages[0]?.folders.map((folder) => folder.path),
      [below(work.first, path)],
    );
  });

  it('takes another age', async () => {
    const path = plant(work.first, 3 * HOUR);
    for (const [age, count] of [
      ['4h', 0],
      ['2h', 1],
      ['0s', 1],
      ['300d', 0],
    ] as const) {
      const { storages } = await answer('--storage', work.first, '--older-than', age);
      assert.equal(storages[0]?.folders.length, count, age);
    }
    assert.ok(existsSync(path));
  });

  it('says what is wrong, by its exit code too', async () => {
    for (const [args, message] of [
      [['--storage', work.first, '--older-than', 'soon'], /"soon" is not an age: write 90s, 30m, 24h or 7d/],
      [['--storage', work.first, '--older-than', '24'], /not an age/],
      [[], /No storage is given/],
      [['--storage', work.first, '--delete', '--dry-run'], /cannot be used with/],
    ] as const) {
      const { code, stderr } = await sweep(...args);
      assert.deepEqual([code, message.test(stderr)], [2, true], stderr);
    }
    const missing = await sweep('--storage', join(work.root, 'missing'), '--delete');
    assert.deepEqual([missing.code, /missing/.test(missing.stderr)], [1, true], missing.stderr);
    assert.doesNotMatch(missing.stdout, /holds nothing/);
    const json = await sweep('--storage', join(work.root, 'missing'), '--json');
    assert.equal(json.code, 1);
    assert.equal((JSON.parse(json.stdout) as SweepAnswer).storages[0]?.error?.code, 'not-found');
  });

  it('is refused a wrong time at the start of a flow, before anything is touched', async () => {
    for (const command of ['run', 'serve']) {
      const env = work.env({ DBACKUP_SWEEP_AFTER_HOURS: 'a day' });
      const { code, stderr } = await dbackup([command, work.flow()], { env });
      assert.deepEqual([code, /DBACKUP_SWEEP_AFTER_HOURS is "a day"/.test(stderr)], [2, true], stderr);
    }
    assert.deepEqual(readdirSync(work.first), []);
  });
});
