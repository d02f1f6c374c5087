import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import { sweepStorage } from '../../lib/backupset/sweep-storage.ts';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import { createSftpDestination } from '../../lib/destinations/sftp/sftp.ts';
import { EMPTY_KEY_RING } from '../../lib/keys/keys.ts';
import { verifySet } from '../../lib/restore/verify.ts';
import { policyOf } from '../../lib/retention/options.ts';
import { isPruned, prune } from '../../lib/retention/prune.ts';
import { startSshd } from '../servers/sshd.ts';
import type { DriverRecipe } from '../support/killed-storage-writer.ts';
import { plantSet } from '../support/planted-sets.ts';

const DAY = 86_400_000;
const { signal } = new AbortController();

interface Place {
  readonly driver: DestinationDriver;
  readonly recipe: DriverRecipe;
  stop(): Promise<void>;
}

async function localPlace(): Promise<Place> {
  const root = mkdtempSync(join(tmpdir(), 'dbackup-prune-killed-'));
  const options = { root, reserveMiB: 0 };
  return {
    driver: createLocalDestination(options),
    recipe: recipeOf('local/local', 'createLocalDestination', options),
    stop: async () => rmSync(root, { recursive: true, force: true }),
  };
}

async function sftpPlace(): Promise<Place> {
  const server = await startSshd();
  const options = { ...server.settings, root: server.root, reserveMiB: 0 };
  return {
    driver: createSftpDestination(options),
    recipe: recipeOf('sftp/sftp', 'createSftpDestination', options),
    stop: () => server.stop(),
  };
}

function recipeOf(module: string, create: string, options: unknown): DriverRecipe {
  return { module: new URL(`../../lib/destinations/${module}.ts`, import.meta.url).href, create, options };
}

/** Prunes in a process of its own, which is killed before that step; what it was about to do. */
async function killedPruning({ module, create, options }: DriverRecipe, step: number): Promise<string> {
  const script = new URL('../support/prune-process.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [script, module, create, String(step)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  child.stdin.end(JSON.stringify(options));
  const [said] = (await Promise.race([once(child.stdout, 'data'), exited])) as [unknown];
  child.kill('SIGKILL');
  await exited;
  return String(said).trim();
}

for (const [kind, start] of [
  ['local', localPlace],
  ['sftp', sftpPlace],
] as const) {
  describe(`pruning ${kind}, killed with SIGKILL at every step`, function () {
    this.timeout(600_000);
    let place: Place;
    before(async () => {
      place = await start();
    });
    after(() => place?.stop());

    const listed = async () => (await listBackupSets(place.driver, { prefix: '', signal })).sets;
    const files = async () => {
      const found: string[] = [];
      for await (const { path } of place.driver.list('', signal)) found.push(path);
      return found.sort();
    };

    it('leaves whole sets, and remains that a sweep and the next pruning know', async () => {
      const keep = await plantSet(place.driver, Date.now() - DAY);
      const kept = await files();
      const steps: string[] = [];
      for (let step = 1; steps.at(-1) !== 'done'; step += 1) {
        const old = await plantSet(place.driver, Date.now() - 9 * DAY, { annotations: { note: 'old' } });
        const said = await killedPruning(place.recipe, step);
        steps.push(said.replace(`${old}/`, ''));
        const sets = await listed();
        for (const set of sets) {
          const { ok } = await verifySet({ set, level: 'hash', keys: EMPTY_KEY_RING, signal });
          assert.ok(ok, `${set.path} after ${said}`);
        }
        const isThere = sets.some(({ path }) => path === old);
        assert.deepEqual([isThere, sets.length], isThere ? [true, 2] : [false, 1], said);
        const { left, error, folders } = await sweepStorage({
          driver: place.driver,
          prefixes: [''],
          graceMs: 0,
          remove: true,
          fates: async () => new Map(),
          signal,
        });
        assert.deepEqual([left, error], [[], undefined], said);
        if (isThere) {
          assert.deepEqual(folders, [], said);
          const policy = policyOf({ keepLast: 1, zone: 'UTC' });
          const { driver } = place;
          assert.ok(
            isPruned(await prune({ driver, prefix: '', job: 'shop', policy, remove: true, signal })),
            said,
          );
        }
        assert.deepEqual(await files(), kept, said);
      }
      assert.deepEqual(
        steps.map((step) => step.replace(/(users|orders)\.sqlite/, 'dump')),
        [
          'write removed.json',
          'commit removed.json',
          'remove manifest.json',
          'remove annotations.json',
          'remove RESTORE.md',
          'remove SHA256SUMS',
          'remove dump',
          'remove dump',
          'remove removed.json',
          'done',
        ],
      );
      assert.deepEqual(
        (await listed()).map(({ path }) => path),
        [keep],
      );
    });
  });
}
