import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import { openStore } from '../../lib/store/store.ts';
import type { RetentionReport } from '../../nodes/retention/retention-report.ts';
import type { FlowEntry } from '../../runner/runtime.ts';
import { plantSet, putObject } from '../support/planted-sets.ts';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { dbackup } from '../support/runner-process.ts';

const DAY = 86_400_000;

describe('dbackup prune', () => {
  let work: RunnerWorkspace;

  beforeEach(() => {
    work = new RunnerWorkspace(10_000);
  });

  afterEach(() => work.remove());

  const storage = () => createLocalDestination({ root: work.first, reserveMiB: 0 });
  const plant = async (days: readonly number[], more: Parameters<typeof plantSet>[2] = {}) => {
    const paths: string[] = [];
    for (const age of days) paths.push(await plantSet(storage(), Date.now() - age * DAY, more));
    return paths;
  };
  const stored = (job = 'shop') =>
    readdirSync(join(work.first, job))
      .map((name) => `${job}/${name}`)
      .sort();
  const prune = async (...args: string[]) => dbackup(['prune', ...args], { env: work.env() });
  const answer = async (...args: string[]): Promise<RetentionReport & { policy: string }> => {
    const { code, stdout, stderr } = await prune(...args, '--json');
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  };

  /** A flow with a storage and retention nodes; its file. */
  const flow = (...policies: readonly object[]): string => {
    const entries: FlowEntry[] = [
      { id: 'tab', type: 'tab', label: 'Test' },
      { id: 'disk', type: 'dbackup-local-storage', name: 'Disk', root: work.first, schemaVersion: 1 },
      ...policies.map((policy, index) => ({
        id: `keep-${index}`,
        type: 'dbackup-retention',
        z: 'tab',
        name: `policy ${index}`,
        x: 1,
        y: 1,
        wires: [[]],
        from: 'message',
        schemaVersion: 1,
        keepLast: 0,
        keepDaily: 0,
        keepWeekly: 0,
        keepMonthly: 0,
        ...policy,
      })),
    ];
    const file = join(work.root, 'retention.json');
    writeFileSync(file, JSON.stringify(entries));
    return file;
  };

  it('shows what it would remove and why, and removes it when it is told to', async () => {
    const [first = '', second = '', third = ''] = await plant([1, 2, 40]);
    const rules = ['--storage', work.first, '--keep-last', '1', '--keep-monthly', '5', '--zone', 'UTC'];
    const dry = await prune(...rules);
    assert.equal(dry.code, 0, dry.stderr);
    assert.match(dry.stdout, /^file:.*, job shop: --keep-last 1 --keep-monthly 5 --zone UTC$/m);
    assert.match(
      dry.stdout,
      new RegExp(`^keep +${first} +20.* UTC +41 B +newest good set, last 1 of 1, monthly 20`, 'm'),
    );
    assert.match(dry.stdout, new RegExp(`^keep +${third} +.*monthly 20`, 'm'));
    const goes = new Date(Date.now() - DAY).getUTCMonth() === new Date(Date.now() - 2 * DAY).getUTCMonth();
    if (goes) assert.match(dry.stdout, new RegExp(`^would remove +${second} +.*no rule keeps it$`, 'm'));
    assert.match(
      dry.stdout,
      goes ? /^2 kept, 1 would be removed \(41 B\)$/m : /^3 kept, 0 would be removed/m,
    );
    assert.equal(dry.stderr.includes('Nothing was removed: --delete does it'), goes);
    assert.equal(stored().length, 3);
    const real = await prune('--storage', work.first, '--job', 'shop', '--keep-last', '1', '--delete');
    assert.deepEqual([real.code, real.stderr], [0, '']);
    assert.match(real.stdout, /^1 kept, 2 removed \(82 B\)$/m);
    assert.deepEqual(stored(), [first]);
  });

  it('answers in JSON', async () => {
    const [first = '', second = ''] = await plant([1, 2]);
    const report = await answer('--storage', work.first, '--keep-within', '12h');
    assert.deepEqual([report.kept, report.removed, report.freedBytes, report.dryRun], [1, 1, 41, true]);
    assert.deepEqual(
      report.sets.map(({ set, kept, verdict }) => [set, kept, verdict]),
      [
        [first, true, 'kept: newest good set, within 12h'],
        [second, false, 'removed: no rule keeps it'],
      ],
    );
    assert.match(report.policy, /^--keep-within 12h --zone /);
  });

  it('takes the policy of a retention node, with tags and the zone of the options', async () => {
    await plant([1, 2, 3, 4]);
    await plant([5], { annotations: { tags: ['release'] } });
    const file = flow({ keepLast: 2, keepTags: ['x'], zone: 'UTC' });
    const report = await answer(
      '--flow',
      file,
      '--storage',
      'Disk',
      '--keep-tag',
      'release',
      '--zone',
      'Asia/Tokyo',
    );
    assert.equal(report.policy, '--keep-last 2 --keep-tag x --keep-tag release --zone Asia/Tokyo');
    assert.deepEqual([report.kept, report.removed], [3, 2]);
    const rules = await answer('--flow', file, '--storage', 'Disk', '--keep-last', '1');
    assert.deepEqual([rules.kept, rules.removed], [1, 4]);
    const two = flow({ keepLast: 2 }, { keepLast: 3 });
    const unclear = await prune('--flow', two, '--storage', 'Disk');
    assert.deepEqual(
      [unclear.code, /choose one with --policy \(.*policy 0.*policy 1/.test(unclear.stderr)],
      [2, true],
    );
    assert.equal((await answer('--flow', two, '--storage', 'Disk', '--policy', 'policy 1')).kept, 3);
  });

  it('asks for the job where a storage holds several', async () => {
    await plant([1, 2]);
    await plant([1, 2], { job: 'crm' });
    const { code, stderr } = await prune('--storage', work.first, '--keep-last', '1', '--delete');
    assert.deepEqual(
      [code, /holds sets of the jobs (crm, shop|shop, crm): say which with --job/.test(stderr)],
      [2, true],
    );
    assert.equal(
      (await answer('--storage', work.first, '--job', 'crm', '--keep-last', '1', '--delete')).removed,
      1,
    );
    assert.deepEqual([stored().length, stored('crm').length], [2, 1]);
  });

  it('removes nothing when something cannot be read, and fails', async () => {
    const [, second] = await plant([1, 2, 3]);
    await putObject(storage(), `${second}/manifest.json`, Buffer.from('garbage'));
    const before = stored();
    const { code, stderr, stdout } = await prune(
      '--storage',
      work.first,
      '--job',
      'shop',
      '--keep-last',
      '1',
      '--delete',
    );
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(
      stderr,
      /^dbackup: One set of the job shop in .* cannot be read, so that nothing is removed/,
    );
    const json = await prune(
      '--storage',
      work.first,
      '--job',
      'shop',
      '--keep-last',
      '1',
      '--delete',
      '--json',
    );
    assert.equal(json.code, 1);
    assert.equal((JSON.parse(json.stdout) as RetentionReport).error?.code, 'corrupt');
    assert.deepEqual(stored(), before);
  });

  it('leaves the sets of runs alone that go on in another process', async () => {
    const [first = '', second = ''] = await plant([1, 2]);
    const store = await openStore(work.data);
    const openedAt = new Date();
    await store.journal.opened({ id: first.slice('shop/'.length), job: 'shop', openedAt });
    try {
      const report = await answer('--storage', work.first, '--keep-last', '1', '--delete');
      assert.deepEqual(
        report.sets.map(({ verdict }) => verdict),
        ['kept: its run is under way', 'kept: newest good set, last 1 of 1'],
      );
      assert.ok(stored().includes(second));
    } finally {
      await store.close();
    }
  });

  it('simulates without a storage', async () => {
    const args = ['--simulate', '100d', '--keep-daily', '7', '--keep-weekly', '4', '--zone', 'Europe/Berlin'];
    const { code, stdout } = await prune(...args);
    assert.equal(code, 0);
    assert.match(stdout, /^--keep-daily 7 --keep-weekly 4 --zone Europe\/Berlin, a backup every 1d\n/);
    assert.match(stdout, /Mon +Tue +Wed +Thu +Fri +Sat +Sun\n\d{4}-W\d\d /);
    assert.match(stdout, /^On 20.* there are (9|10|11) sets, the oldest of 20/m);
    const json = await prune(...args, '--every', '6h', '--json');
    const { days, backups, every } = JSON.parse(json.stdout) as {
      every: string;
      days: { date: string; sets: number }[];
      backups: { at: string; stays: { date: string; rule: string }[] }[];
    };
    assert.deepEqual([every, backups.length], ['6h', 400]);
    assert.ok(days.length === 100 || days.length === 101);
    assert.ok(days.every(({ sets }) => sets >= 1 && sets <= 12));
    assert.equal(backups[0]?.stays.at(-1)?.rule, 'removed');
    assert.deepEqual(readdirSync(work.first), []);
  });

  it('says what is wrong, by its exit code too', async () => {
    for (const [args, code, message] of [
      [['--storage', work.first], 2, /policy keeps nothing/],
      [['--storage', work.first, '--keep-within', '5'], 2, /is no duration/],
      [['--storage', work.first, '--keep-last', '1', '--zone', 'Mars'], 2, /is no time zone/],
      [['--storage', work.first, '--keep-last', '1', '--delete', '--dry-run'], 2, /cannot be used with/],
      [['--simulate', '10d', '--keep-last', '1', '--delete'], 2, /cannot be used with/],
      [['--simulate', '400d', '--every', '1h', '--keep-last', '1', '--keep-hourly', '2'], 0, /^$/],
      [['--simulate', '100y', '--keep-last', '1'], 2, /simulate a shorter time|too long to be simulated/],
      [['--keep-last', '1'], 2, /No storage is given/],
      [['--flow', flow(), '--storage', 'Disk'], 2, /holds no retention node/],
      [['--storage', work.first, '--keep-last', '1'], 1, /holds no backup sets/],
      [
        ['--storage', work.first, '--job', 'nobody', '--keep-last', '1'],
        1,
        /holds no backup sets of the job nobody/,
      ],
      [['--storage', join(work.root, 'missing'), '--job', 'shop', '--keep-last', '1'], 1, /missing/],
    ] as const) {
      const result = await prune(...args);
      assert.deepEqual(
        [result.code, message.test(result.stderr)],
        [code, true],
        `${args.join(' ')}: ${result.stderr}`,
      );
    }
  });
});
