import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import { STORE_FILE } from '../../lib/store/store.ts';
import { DAY_MS, HOUR_MS, type Tally, Year, type YearJob } from '../support/year.ts';

const DAYS = 400;
const KEEP = { days: 60, runs: 80 };
/** A process lives that long, then it is down for some time. */
const LIFE_DAYS = 9;
/** Hours that it is down, in turn: the last one is longer than what is made up for. */
const DOWN_HOURS = [0, 1, 7, 20, 30];
/** The storage is away; afterwards somebody puts the job back. */
const AWAY = { from: 50, to: 74 };
const MIB = 1024 * 1024;

const JOBS: readonly YearJob[] = [
  {
    name: 'shop',
    cron: '30 2 * * *',
    zone: 'Europe/Berlin',
    fortune: (day) => (day % 10 === 7 ? 'source fails' : 'well'),
  },
  {
    name: 'crm',
    cron: '30 1 */2 * *',
    zone: 'America/New_York',
    fortune: (day) => (day >= AWAY.from && day < AWAY.to ? 'destination fails' : 'well'),
  },
  // Sometimes it takes until after the next time, or the next two.
  {
    name: 'wiki',
    cron: '15 6 */2 * *',
    zone: 'Asia/Kolkata',
    fortune: (day) =>
      day % 29 < 2 ? { lastsMs: 55 * HOUR_MS } : day % 53 < 2 ? { lastsMs: 100 * HOUR_MS } : 'well',
  },
  { name: 'mail', cron: '0 4 * * 0', zone: 'Australia/Lord_Howe', fortune: () => 'well' },
  {
    name: 'books',
    cron: '0 0 1 * *',
    zone: 'UTC',
    fortune: (day) => (day > 200 && day < 240 ? 'source fails' : 'well'),
  },
];

describe('400 days of five jobs', function () {
  this.timeout(1_800_000);
  let folder: string;

  before(() => {
    // Nothing here is about disks: memory spares the waiting for them.
    const memory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
    folder = mkdtempSync(join(memory, 'dbackup-endurance-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('overlap nowhere, lose no planned time, keep what retention says, and grow without bound in nothing', async () => {
    const year = new Year(folder, '2026-01-01T00:00:00Z', JOBS, { deadLetterAfter: 3, keep: KEEP });
    const sizes = new Map<number, { store: number; heap: number; timers: number; runs: number }>();
    let requeued = false;
    for (let life = 0; year.day < DAYS; life += 1) {
      await year.begin();
      const { store } = year;
      const runs = (await store.runs({ limit: 10_000 })).length;
      sizes.set(year.day, { runs, store: sizeOfStore(), heap: heap(), timers: year.clock.waiting });
      await year.pass(Math.min(LIFE_DAYS * DAY_MS, (DAYS - year.day) * DAY_MS));
      if (!requeued && year.day > AWAY.to) {
        const [crm] = await store.jobs.list({ job: 'crm' });
        assert.equal(crm?.state, 'dead-lettered');
        await year.requeue('crm');
        requeued = true;
      }
      await year.end();
      await year.pass((DOWN_HOURS[life % DOWN_HOURS.length] ?? 0) * HOUR_MS);
    }
    assert.deepEqual(year.faults, []);

    for (const { name } of JOBS) assertAllAccounted(year, name);
    assert.ok(year.tally('shop').missed + year.tally('crm').missed > 0, 'downtime has swallowed fires');
    assert.ok(year.tally('wiki').skipped > 5, 'long runs have swallowed fires');
    assert.equal(year.tally('crm').deadLettered, 1);
    assert.equal(year.tally('crm').ended.failed, 3, 'then it begins no more by itself');
    assert.ok(year.tally('crm').leftOut > 5);
    assert.ok(year.tally('shop').ended.failed > 30);
    assert.equal(year.tally('shop').deadLettered, 0);

    await assertFloor(year);
    assertBounded(sizes);
  });

  function sizeOfStore(): number {
    return statSync(join(folder, 'data', STORE_FILE)).size;
  }

  /** Each planned time has begun a run, or it is known why it has not. */
  function assertAllAccounted(year: Year, name: string): void {
    const tally: Tally = year.tally(name);
    const { started, missed, skipped, leftOut, dropped, ended } = tally;
    const known = started + missed + skipped + leftOut + dropped;
    // What was due while no process was there at the very end is not made up for yet.
    const open = year.planned(name) - known;
    assert.ok(open >= 0 && open <= 3, `${name}: ${open} of ${year.planned(name)}: ${JSON.stringify(tally)}`);
    assert.equal(
      Object.values(ended).reduce((sum, count) => sum + count, 0),
      started,
      name,
    );
  }

  /** The newest set of each job is there, and those that failed took the place of none. */
  async function assertFloor(year: Year): Promise<void> {
    const driver = createLocalDestination({ root: year.root });
    const { signal } = new AbortController();
    const { sets, unreadable } = await listBackupSets(driver, { prefix: 'sets', signal });
    assert.deepEqual(unreadable, []);
    for (const { name } of JOBS) {
      const times = sets
        .filter(({ manifest }) => manifest.job === name)
        .map(({ manifest }) => manifest.startedAt);
      const newest = times.toSorted().at(-1) ?? '';
      const patience = name === 'books' ? 62 : name === 'mail' ? 9 : 8;
      assert.ok(year.clock.now() - Date.parse(newest) < patience * DAY_MS, `${name}: ${newest}`);
      const months = new Set(times.map((time) => time.slice(0, 7)));
      assert.ok(months.size >= 6, `${name} reaches back ${months.size} months`);
    }
  }

  function assertBounded(
    sizes: ReadonlyMap<number, { store: number; heap: number; timers: number; runs: number }>,
  ): void {
    const days = [...sizes.keys()];
    const at = (day: number) => {
      const found = sizes.get(days.find((each) => each >= day) ?? -1);
      assert.ok(found);
      return found;
    };
    const early = at(130);
    const late = at(DAYS - LIFE_DAYS - 2);
    const told = JSON.stringify([...sizes]);
    assert.ok(late.runs <= JOBS.length * KEEP.runs, `runs: ${told}`);
    assert.ok(late.store < early.store * 1.5, `store: ${told}`);
    assert.ok(late.heap < early.heap + 16 * MIB, `heap: ${told}`);
    assert.ok(late.timers <= early.timers + 5, `timers: ${told}`);
  }
});

/** Bytes of objects that are still needed. */
function heap(): number {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  assert.ok(typeof collect === 'function');
  collect();
  return process.memoryUsage().heapUsed;
}
