import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { policyOf, type RetentionOptionsInput } from '../../lib/retention/options.ts';
import { isKept, judge, type RetainedSet } from '../../lib/retention/policy.ts';
import { skipBecause } from '../support/skip.ts';

const run = promisify(execFile);
/** restic counts days in the time zone of its process. */
const ZONE = 'Europe/Berlin';

/** Local times of snapshots: ends of years and ISO weeks, changes of clocks, several in a day and an hour. */
const TIMES = [
  '2024-12-29 23:59:00',
  '2024-12-30 00:01:00',
  '2025-01-01 00:00:00',
  '2025-12-31 23:59:59',
  '2026-01-01 00:00:00',
  '2026-01-04 12:00:00',
  '2026-01-05 12:00:00',
  '2026-03-28 02:30:00',
  '2026-03-29 01:59:00',
  '2026-03-29 03:01:00',
  '2026-08-15 04:00:00',
  '2026-10-24 23:30:00',
  '2026-10-25 00:30:00',
  '2026-10-25 23:45:00',
  '2026-10-26 00:15:00',
  '2026-11-01 02:00:00',
  '2026-11-15 02:00:00',
  '2026-11-16 02:00:00',
  '2026-11-21 02:00:00',
  '2026-11-22 02:00:00',
  '2026-11-22 02:59:59',
  '2026-11-22 03:00:00',
  '2026-11-22 14:00:00',
];

const POLICIES: readonly RetentionOptionsInput[] = [
  { keepLast: 3 },
  { keepLast: 100 },
  { keepHourly: 5 },
  { keepDaily: 4 },
  { keepDaily: 100 },
  { keepWeekly: 6 },
  { keepMonthly: 7 },
  { keepYearly: 2 },
  { keepYearly: 10 },
  { keepWithin: '1d' },
  { keepWithin: '1m' },
  { keepWithin: '1y2m3d' },
  { keepWithin: '27d11h' },
  { keepLast: 1, keepHourly: 2, keepDaily: 3, keepWeekly: 4, keepMonthly: 5, keepYearly: 2 },
  { keepLast: 2, keepWithin: '8d', keepMonthly: 12 },
];

/** What `restic forget --json` tells of a snapshot. */
interface Told {
  readonly keep: readonly { readonly time: string }[] | null;
  readonly reasons: readonly { readonly snapshot: { readonly time: string }; readonly matches: string[] }[];
}

describe("retention, compared with restic's", function () {
  this.timeout(600_000);
  let folder: string;

  const restic = async (...args: string[]): Promise<string> => {
    const env = {
      ...process.env,
      TZ: ZONE,
      RESTIC_PASSWORD: 'x',
      RESTIC_REPOSITORY: join(folder, 'repository'),
    };
    const { stdout } = await run('restic', [...args, '--no-cache'], { env, cwd: folder });
    return stdout;
  };

  before(async function () {
    try {
      await run('restic', ['version']);
    } catch {
      skipBecause(this, 'restic is not installed');
    }
    folder = mkdtempSync(join(tmpdir(), 'dbackup-restic-'));
    writeFileSync(join(folder, 'data'), 'x');
    await restic('init');
    const queue = TIMES.values();
    const backUp = async () => {
      for (const time of queue) await restic('backup', '--quiet', '--host', 'db1', '--time', time, 'data');
    };
    await Promise.all([backUp(), backUp(), backUp()]);
  });

  after(() => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  it('keeps the same of the same snapshots', async () => {
    const listed = JSON.parse(await restic('snapshots', '--json')) as { time: string }[];
    assert.equal(listed.length, TIMES.length);
    const sets = listed.map(({ time }): RetainedSet => {
      return { path: time, at: Date.parse(time), quality: 'good', tags: [] };
    });
    for (const options of POLICIES) {
      const [group] = JSON.parse(await restic('forget', '--dry-run', '--json', ...argumentsOf(options))) as [
        Told,
      ];
      const theirs = (group.keep ?? []).map(({ time }) => time).filter((time) => !isOldestOnly(group, time));
      const ours = judge(sets, policyOf({ ...options, zone: ZONE }))
        .filter(isKept)
        .map(({ set }) => set.path);
      assert.deepEqual(ours.sort(), theirs.sort(), JSON.stringify(options));
    }
  });
});

function argumentsOf(options: RetentionOptionsInput): string[] {
  return Object.entries(options).flatMap(([name, value]) => [
    `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
    String(value),
  ]);
}

/** Later versions of restic also keep the oldest snapshot while a rule has counts left: ours keeps no set for that. */
function isOldestOnly({ reasons }: Told, time: string): boolean {
  const found = reasons.find(({ snapshot }) => snapshot.time === time);
  return found?.matches.every((match) => match.startsWith('oldest')) ?? false;
}
