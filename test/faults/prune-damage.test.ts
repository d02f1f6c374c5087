import assert from 'node:assert/strict';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import { BackupError, type ErrorCode } from '../../lib/errors.ts';
import { EMPTY_KEY_RING } from '../../lib/keys/keys.ts';
import { verifySet } from '../../lib/restore/verify.ts';
import { policyOf } from '../../lib/retention/options.ts';
import { type PruneReport, prune } from '../../lib/retention/prune.ts';
import { MemoryDestination } from '../support/memory-destination.ts';
import { plantSet } from '../support/planted-sets.ts';
import { type Step, WatchedDestination } from '../support/watched-destination.ts';

const DAY = 86_400_000;
const policy = policyOf({ keepLast: 2, keepWeekly: 2, zone: 'UTC' });
const { signal } = new AbortController();

/** Six sets in three weeks, and what a pruning takes of them when nothing is wrong. */
class Shop {
  readonly memory = new MemoryDestination();
  sets: string[] = [];
  removable: string[] = [];
  /** What lies there when nothing has happened. */
  #origin = this.memory.objects;

  get storage(): WatchedDestination {
    return new WatchedDestination(this.memory);
  }

  async plant(): Promise<void> {
    const annotations = { tags: ['x'], note: 'y' };
    for (const days of [1, 2, 3, 8, 9, 22]) {
      this.sets.push(await plantSet(this.storage, Date.now() - days * DAY, { annotations }));
    }
    this.#origin = this.memory.objects;
    this.reset();
    const { sets } = await this.prune();
    this.removable = sets.flatMap(({ path, kept }) => (kept ? [] : [path]));
    this.reset();
  }

  reset(): void {
    this.memory.objects = new Map(this.#origin);
  }

  filesOf(set: string): string[] {
    return [...this.memory.objects.keys()].filter((path) => path.startsWith(`${set}/`));
  }

  prune(driver = this.storage): Promise<PruneReport> {
    return prune({ driver, prefix: '', job: 'shop', policy, remove: true, signal });
  }

  async listed(): Promise<string[]> {
    const { sets } = await listBackupSets(this.storage, { prefix: '', signal });
    return sets.map(({ path }) => path);
  }

  /** Sets that are listed, and hold. */
  async whole(): Promise<string[]> {
    const { sets } = await listBackupSets(this.storage, { prefix: '', signal });
    const good: string[] = [];
    for (const set of sets) {
      const { ok } = await verifySet({ set, level: 'hash', keys: EMPTY_KEY_RING, signal });
      if (ok && set.manifest.status === 'complete') good.push(set.path);
    }
    return good;
  }

  folders(): string[] {
    return this.sets.filter((set) => this.filesOf(set).length > 0);
  }
}

describe('pruning where something is damaged', function () {
  this.timeout(600_000);
  const shop = new Shop();
  before(() => shop.plant());

  /** After whatever was done to `victim`: no other set goes that would have stayed, and the newest good one stays. */
  async function expectNoHarm(victim: string, what: string): Promise<PruneReport> {
    const whole = await shop.whole();
    const report = await shop.prune();
    const left = new Set(shop.folders());
    const gone = shop.sets.filter((path) => !left.has(path) && path !== victim);
    assert.deepEqual(
      gone.filter((path) => !shop.removable.includes(path)),
      [],
      what,
    );
    const [newest] = whole;
    if (newest !== undefined)
      assert.ok((await shop.whole()).includes(newest), `${what}: the newest good set`);
    if (!shop.removable.includes(victim)) assert.ok(left.has(victim), `${what}: it was to stay`);
    return report;
  }

  it('law: no file of any set that is lost, cut or garbled makes another one go', async () => {
    for (const victim of shop.sets) {
      shop.reset();
      for (const file of shop.filesOf(victim)) {
        for (const damage of ['lost', 'empty', 'cut', 'garbled'] as const) {
          shop.reset();
          damageFile(shop.memory, file, damage);
          const report = await expectNoHarm(victim, `${damage} ${file}`);
          // A manifest that cannot be read stops all.
          const stops = file.endsWith('/manifest.json') && damage !== 'lost';
          assert.equal(report.error !== undefined, stops, `${damage} ${file}: ${report.error?.message}`);
          if (stops) assert.equal(shop.folders().length, shop.sets.length);
        }
      }
    }
  });

  it('law: no field of a manifest that is lost or wrong makes another set go, or this one when it was to stay', async () => {
    shop.reset();
    const [victim = ''] = shop.sets;
    const manifestOf = (set: string) => shop.memory.bytesOf(`${set}/manifest.json`).toString();
    const paths = pathsIn(JSON.parse(manifestOf(victim)));
    assert.ok(paths.length > 60);
    for (const set of [victim, shop.sets[3] ?? '']) {
      const origin = manifestOf(set);
      for (const path of paths) {
        for (const value of [
          undefined,
          null,
          'x',
          -1,
          [],
          '1999-01-01T00:00:00.000Z',
          '2999-01-01T00:00:00.000Z',
        ]) {
          const manifest = JSON.parse(origin);
          change(manifest, path, value);
          shop.reset();
          shop.memory.put(`${set}/manifest.json`, Buffer.from(JSON.stringify(manifest)));
          const report = await shop.prune();
          const left = new Set(shop.folders());
          const gone = shop.sets.filter((each) => !left.has(each));
          const what = `${path.join('.')} = ${JSON.stringify(value)}: ${report.error?.message}`;
          assert.deepEqual(
            gone.filter((each) => !shop.removable.includes(each)),
            [],
            what,
          );
          if (report.error !== undefined) assert.deepEqual(gone, [], what);
        }
      }
    }
  });
});

describe('pruning a storage that fails', function () {
  this.timeout(600_000);
  const shop = new Shop();
  before(() => shop.plant());
  beforeEach(() => shop.reset());

  /** How many steps of each kind a whole pruning takes. */
  async function stepsOf(kind: Step): Promise<number> {
    const storage = shop.storage;
    await shop.prune(storage);
    shop.reset();
    return storage.asked.filter((asked) => asked.startsWith(`${kind} `)).length;
  }

  async function failAt(
    kind: Step,
    place: number,
    code: ErrorCode,
  ): Promise<{ report: PruneReport; storage: WatchedDestination }> {
    const storage = shop.storage;
    let count = 0;
    storage.before = (step) => {
      if (step !== kind) return;
      count += 1;
      if (count === place) throw new BackupError(code, 'the storage failed', { transient: true });
    };
    return { report: await shop.prune(storage), storage };
  }

  for (const kind of ['list', 'stat', 'read', 'lock', 'write', 'commit', 'remove'] as const) {
    it(`law: whenever ${kind} fails, what is listed is whole, and a read error ends all removals`, async () => {
      const steps = await stepsOf(kind);
      assert.ok(steps > 0);
      for (let place = 1; place <= steps; place += 1) {
        for (const code of ['unavailable', 'permission'] as const) {
          shop.reset();
          const { report, storage } = await failAt(kind, place, code);
          const what = `${kind} ${place} of ${steps}, ${code}`;
          const listed = await shop.listed();
          const gone = shop.sets.filter((path) => !listed.includes(path));
          assert.deepEqual(await shop.whole(), listed, what);
          assert.ok(
            gone.every((path) => shop.removable.includes(path)),
            what,
          );
          // Nothing is claimed to be gone that is there, nor the reverse.
          const claimed = report.sets.flatMap(({ path, kept }) => (kept ? [] : [path]));
          if (report.sets.length > 0) assert.deepEqual(gone.sort(), claimed.sort(), what);
          assert.ok(report.error ?? report.sets.find(({ error }) => error), `${what} is told`);
          // The listing of a set that is gone already, for its remains, decides nothing any more.
          const decidesNothing = kind === 'list' && gone.length > 0 && code !== 'unavailable';
          if (!['read', 'lock', 'list'].includes(kind) || decidesNothing) continue;
          const after = storage.asked.slice(failedAt(storage, kind, place) + 1);
          assert.deepEqual(
            after.filter((asked) => /^remove .*manifest\.json$/.test(asked)),
            [],
            what,
          );
        }
      }
    });
  }
});

function failedAt({ asked }: WatchedDestination, kind: Step, place: number): number {
  const ofKind = [...asked.entries()].filter(([, each]) => each.startsWith(`${kind} `));
  return ofKind[place - 1]?.[0] ?? asked.length;
}

function damageFile(
  storage: MemoryDestination,
  path: string,
  damage: 'lost' | 'empty' | 'cut' | 'garbled',
): void {
  const bytes = storage.bytesOf(path);
  if (damage === 'lost') storage.objects.delete(path);
  else if (damage === 'empty') storage.put(path, Buffer.alloc(0));
  else if (damage === 'cut') storage.put(path, bytes.subarray(0, bytes.length / 2));
  else storage.put(path, Buffer.from(bytes.map((byte) => byte ^ 0x55)));
}

type Path = readonly (string | number)[];

/** Paths of all values in a JSON value, leaves and branches. */
function pathsIn(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path];
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  const inner = entries.flatMap(([key, each]) => pathsIn(each, [...path, key as string | number]));
  return path.length === 0 ? inner : [path, ...inner];
}

function change(value: unknown, [first, ...rest]: Path, to: unknown): void {
  const holder = value as Record<string | number, unknown>;
  if (first === undefined) return;
  if (rest.length > 0) change(holder[first], rest, to);
  else if (to === undefined) delete holder[first];
  else holder[first] = to;
}
