import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import fc from 'fast-check';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import { isStored } from '../../lib/backupset/manifest.ts';
import { sumsFiles } from '../../lib/backupset/sums.ts';
import { BackupEngine } from '../../lib/engine/backup-engine.ts';
import { enterLane } from '../../lib/engine/lane.ts';
import type { RetryLimits } from '../../lib/engine/retries.ts';
import type { KeyRing } from '../../lib/keys/keys.ts';
import { readRaw } from '../../lib/restore/raw-stream.ts';
import { verifySet } from '../../lib/restore/verify.ts';
import type { CommittedSet, RunResult } from '../../lib/runs/outcome.ts';
import { createChecksum } from '../../lib/transforms/checksum.ts';
import { createCompress } from '../../lib/transforms/compress.ts';
import { createEncrypt } from '../../lib/transforms/encrypt.ts';
import type { Transform } from '../../lib/transforms/transform.ts';
import { collect } from '../support/byte-streams.ts';
import { filesBelow, localFolder, planRun, TestClock } from '../support/engine-run.ts';
import { FaultyDestination } from '../support/faulty-destination.ts';
import { faultyTransform } from '../support/faulty-transform.ts';
import { openFilesBelow } from '../support/open-files.ts';
import {
  hangs,
  passingRun,
  type RandomBranch,
  type RandomRun,
  randomRun,
  type StepName,
} from '../support/random-run.ts';
import { type Script, ScriptedSource } from '../support/scripted-source.ts';

const never = new AbortController().signal;
const STALL_MS = 1200;
/** Far above what any of these runs takes: a run that is not over then never ends. */
const DEADLOCK_MS = 180_000;
const RUNS = Number(process.env.DBACKUP_LAW_RUNS ?? 40);

interface Place {
  readonly branch: RandomBranch;
  readonly root: string;
  readonly driver: FaultyDestination;
  readonly remove: () => Promise<void>;
}

describe('engine: any plan, any fault, any moment of cancellation', () => {
  const vaultKey = randomBytes(32);
  let recipient = '';
  let keys: KeyRing;
  before(async () => {
    const identity = await generateX25519Identity();
    recipient = await identityToRecipient(identity);
    keys = { vaultKey: async () => vaultKey, passphrases: [], ageIdentities: [identity] };
  });

  function transform(name: StepName): Transform {
    switch (name) {
      case 'zstd':
        return createCompress({ algorithm: 'zstd', level: 1 });
      case 'gzip':
        return createCompress({ algorithm: 'gzip', level: 1 });
      case 'brotli':
        return createCompress({ algorithm: 'brotli', level: 0 });
      case 'checksum':
        return createChecksum({ algorithm: 'blake2b512' });
      case 'encrypt':
        return createEncrypt({ type: 'vault', id: 'k1', version: 1, key: vaultKey }, { format: 'dbk' });
      case 'age':
        return createEncrypt({ type: 'age', recipients: [recipient] }, { format: 'age' });
      default:
        return faultyTransform(name, 200_000);
    }
  }

  it('law: it ends, tells the truth, and leaves nothing but proven sets', async () => {
    const unhandled: unknown[] = [];
    const onUnhandled = (error: unknown) => unhandled.push(error);
    process.on('unhandledRejection', onUnhandled);
    try {
      await fc.assert(
        fc.asyncProperty(randomRun, async (drawn) => {
          await check(drawn);
          assert.deepEqual(unhandled, []);
        }),
        { numRuns: RUNS, endOnFailure: true },
      );
    } finally {
      process.off('unhandledRejection', onUnhandled);
    }
  }).timeout(20 * 60_000);

  it('law: what passes by itself is overcome, and the end is as if nothing had been', async () => {
    const patience = { destinationAttempts: 100, databaseAttempts: 100 };
    await fc.assert(
      fc.asyncProperty(passingRun, async (drawn) => {
        const { result } = await check(drawn, patience);
        assert.equal(
          result.state,
          'succeeded',
          JSON.stringify(result.destinations.map(({ error }) => error)),
        );
      }),
      { numRuns: Math.ceil(RUNS / 2), endOnFailure: true },
    );
  }).timeout(20 * 60_000);

  async function check(drawn: RandomRun, retries: Partial<RetryLimits> = {}) {
    const places = await Promise.all(
      drawn.branches.map(async (branch): Promise<Place> => {
        const { root, driver, remove } = await localFolder();
        const faulty = new FaultyDestination(driver, ...branch.faults);
        faulty.removesNothing = branch.removesNothing;
        return { branch, root, driver: faulty, remove };
      }),
    );
    try {
      const sources = drawn.sources.map((scripts) => scriptedSource(scripts, drawn.lane));
      const run = await perform(drawn, sources, places, retries);
      for (const source of sources) {
        assert.equal(source.open, 0, 'a dump is still open');
        assert.ok(source.mostOpen <= (drawn.lane ?? 1), `${source.mostOpen} dumps were open at a time`);
        await soon(
          () => source.signals.map(listeners),
          source.signals.map(() => 0),
        );
      }
      // Fails at once when a place in the lane was not given back.
      const leave = await enterLane({ key: LANE, limit: 1 }, AbortSignal.timeout(1));
      leave();
      await examine(drawn, run, places);
      await Promise.all(places.map(({ driver }) => driver.release()));
      for (const { root } of places) await soon(() => openFilesBelow(root), []);
      return run;
    } finally {
      await Promise.all(places.map(({ driver }) => driver.release()));
      await Promise.all(places.map(({ remove }) => remove()));
    }
  }

  async function perform(
    drawn: RandomRun,
    sources: ScriptedSource[],
    places: readonly Place[],
    retries: Partial<RetryLimits>,
  ) {
    const slow = drawn.branches.some(({ faults }) =>
      faults.some(({ kind }) => kind === 'hang' || kind === 'commit-hang' || kind === 'commit-late'),
    );
    const finished: RunResult[] = [];
    const journal: string[] = [];
    const engine = new BackupEngine({
      clock: new TestClock(),
      retries,
      stallMs: slow ? STALL_MS : DEADLOCK_MS,
      journal: {
        opened: async () => void journal.push('opened'),
        state: async (_, state) => void journal.push(state),
        finished: async ({ state }) => void journal.push(state),
      },
    });
    engine.events.on('finished', (result) => finished.push(result));
    const { run, joins } = planRun(
      engine,
      sources,
      places.map(({ branch, driver }, index) => ({
        to: driver,
        name: `d${index}`,
        steps: branch.steps.map((node) => ({ node, transform: transform(node) })),
        ...(branch.throttled ? { bytesPerSecond: 8e6 } : {}),
      })),
    );
    const timer = scheduleCancel(drawn, places, () => engine.cancel(run.id, 'the test says so'));
    run.seal();
    const idle = engine.idle().then(() => 'ended');
    const state = await Promise.race([idle, sleep(DEADLOCK_MS, 'hangs', { ref: false })]);
    clearTimeout(timer);
    assert.equal(state, 'ended', 'the run never ends');
    const outcomes = await Promise.allSettled(joins);
    const [result] = finished;
    assert.ok(result !== undefined && finished.length === 1);
    assert.equal(journal.at(0), 'opened');
    assert.deepEqual(journal.slice(-1), [result.state]);
    assert.ok(!engine.isActive(run.id));
    return { result, outcomes };
  }

  async function examine(
    drawn: RandomRun,
    { result, outcomes }: { result: RunResult; outcomes: PromiseSettledResult<CommittedSet>[] },
    places: readonly Place[],
  ): Promise<void> {
    const whole =
      outcomes.every(({ status }) => status === 'fulfilled') &&
      result.artifacts.every(({ error }) => error === undefined);
    const some = outcomes.some(({ status }) => status === 'fulfilled');
    if (whole) assert.equal(result.state, 'succeeded');
    else if (drawn.cancel === undefined && !hangs(drawn))
      assert.equal(result.state, some ? 'partial' : 'failed');
    else assert.ok(['cancelled', some ? 'partial' : 'failed'].includes(result.state), result.state);
    if (isFaultless(drawn)) assert.equal(result.state, 'succeeded', String(result.error));
    for (const [index, place] of places.entries()) {
      const outcome = outcomes[index];
      assert.deepEqual(
        result.destinations[index]?.set,
        outcome?.status === 'fulfilled' ? outcome.value : undefined,
      );
      if (outcome?.status === 'fulfilled') await examineSet(drawn, outcome.value, place);
      else await examineLeftovers(drawn, place);
      if (!isHung(place.branch)) assert.equal(place.driver.pending, 0, 'a write is still pending');
    }
    await assertTwinsEqual(outcomes, places);
  }

  async function examineSet(drawn: RandomRun, { manifest }: CommittedSet, place: Place): Promise<void> {
    const { sets, unreadable } = await listBackupSets(place.driver, { prefix: 'sets', signal: never });
    const [set] = sets;
    assert.ok(set !== undefined && sets.length === 1 && unreadable.length === 0);
    assert.deepEqual(set.manifest, manifest);
    for (const artifact of manifest.artifacts.filter(isStored)) {
      const script = drawn.sources.flat().find(({ name }) => name === artifact.database);
      const expected = ScriptedSource.contentOf(artifact.database, script?.bytes ?? -1);
      assert.equal(
        Buffer.compare(await collect(readRaw({ set, artifact, keys, signal: never })), expected),
        0,
      );
    }
    const report = await verifySet({ set, level: 'content', keys, signal: never });
    assert.ok(report.ok);
    const names = [
      ...manifest.artifacts.filter(isStored).map(({ file }) => file),
      ...sumsFiles(manifest).map(({ name }) => name),
      'RESTORE.md',
      'manifest.json',
    ];
    if (isClean(place.branch)) {
      const expected = names.map((name) => `${set.path}/${name}`).sort();
      await soon(() => filesOf(place.root), expected);
    }
  }

  /** Nothing is visible of a set that was not reported, but what the storage did behind our backs. */
  async function examineLeftovers(drawn: RandomRun, place: Place): Promise<void> {
    if (place.branch.faults.some(({ kind }) => kind === 'commit-late')) await sleep(3000);
    const { sets, unreadable } = await listBackupSets(place.driver, { prefix: 'sets', signal: never });
    assert.deepEqual(unreadable, []);
    for (const set of sets) {
      // A manifest that the storage made visible without telling must be true all the same.
      assert.ok(!isClean(place.branch), 'a set is visible that was not reported');
      const report = await verifySet({ set, level: 'content', keys, signal: never });
      assert.ok(report.ok, JSON.stringify([report, drawn]));
    }
    if (isClean(place.branch)) await soon(() => filesOf(place.root), []);
  }

  async function assertTwinsEqual(
    outcomes: readonly PromiseSettledResult<CommittedSet>[],
    places: readonly Place[],
  ): Promise<void> {
    const first = new Map<string, Place>();
    for (const [index, place] of places.entries()) {
      if (outcomes[index]?.status !== 'fulfilled') continue;
      const chain = place.branch.steps.join();
      const twin = first.get(chain);
      first.set(chain, twin ?? place);
      if (twin === undefined) continue;
      const visible = (files: string[]) => files.filter((file) => !/\/\.[^/]*$/.test(file));
      const files = visible(await filesBelow(place.root));
      for (const file of files) {
        const [a, b] = await Promise.all([place, twin].map(({ root }) => readFile(join(root, file))));
        assert.ok(a !== undefined && b !== undefined && a.equals(b), `${file} differs between twins`);
      }
    }
  }
});

const LANE = 'scripted://server';

function scriptedSource(scripts: readonly Script[], lane: number | undefined): ScriptedSource {
  const source = new ScriptedSource(...scripts);
  if (lane !== undefined) source.lane = { key: LANE, limit: lane };
  return source;
}

/** What is true in a moment, when streams that nobody waits for have closed and slow storages cleaned up. */
async function soon<T>(look: () => T | Promise<T>, expected: T): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    if (isDeepStrictEqual(await look(), expected)) return;
    await sleep(20);
  }
  assert.deepEqual(await look(), expected);
}

/** While folders are removed, they cannot always be listed. */
async function filesOf(root: string): Promise<string[]> {
  return filesBelow(root).catch(() => ['?']);
}

function scheduleCancel(drawn: RandomRun, places: readonly Place[], cancel: () => void) {
  const { cancel: when } = drawn;
  if (when !== undefined && 'atCall' in when) {
    let calls = 0;
    for (const { driver } of places) {
      driver.onCall = () => {
        calls += 1;
        if (calls === when.atCall) cancel();
      };
    }
  }
  const afterMs = when !== undefined && 'afterMs' in when ? when.afterMs : hangs(drawn) ? 2000 : undefined;
  return afterMs === undefined ? undefined : setTimeout(cancel, afterMs);
}

function listeners(signal: AbortSignal): number {
  return getEventListeners(signal, 'abort').length;
}

/** Some commit of this branch may never be answered. */
function isHung({ faults }: RandomBranch): boolean {
  return faults.some(({ kind }) => kind === 'commit-hang' || kind === 'commit-late');
}

/** The storage removes what it is told to, and does nothing behind our backs. */
function isClean(branch: RandomBranch): boolean {
  return !branch.removesNothing && !isHung(branch);
}

function isFaultless({ sources, branches, cancel }: RandomRun): boolean {
  return (
    cancel === undefined &&
    sources.flat().every((script) => Object.keys(script).length === 2) &&
    branches.every(
      ({ faults, steps }) => faults.length === 0 && !steps.some((name) => /-|fails|dies|stops/.test(name)),
    )
  );
}
