import { listBackupSets } from '../../lib/backupset/catalog.ts';
import { BackupEngine } from '../../lib/engine/backup-engine.ts';
import { EMPTY_KEY_RING } from '../../lib/keys/keys.ts';
import { verifySet } from '../../lib/restore/verify.ts';
import { createCompress } from '../../lib/transforms/compress.ts';
import { localFolder, planRun, runEngine } from './engine-run.ts';
import { FaultyDestination } from './faulty-destination.ts';
import { faultyTransform } from './faulty-transform.ts';
import { ScriptedSource } from './scripted-source.ts';

/**
 * A process of its own that ends when nothing keeps it alive any more: lets runs fail in many ways, says
 * that it is done, and leaves the rest to what they have left behind.
 */
const MIB = 1024 * 1024;
const signal = new AbortController().signal;
const zstd = { node: 'zstd', transform: createCompress({ level: 1 }) };
const dies = { node: 'dies', transform: faultyTransform('dies', 200_000) };
const places = await Promise.all(Array.from({ length: 5 }, localFolder));
const [good, hangs, never, broken, slow] = places.map(({ driver }) => driver);
if (!good || !hangs || !never || !broken || !slow) throw new Error('folders are missing');

const source = () =>
  new ScriptedSource({ name: 'one', bytes: 8 * MIB }, { name: 'two', bytes: MIB, proofFails: true });
const { engine } = await runEngine(
  source(),
  [
    { to: good, name: 'good', steps: [zstd] },
    { to: new FaultyDestination(hangs, { file: 'one', kind: 'hang' }), name: 'hangs', steps: [zstd] },
    { to: new FaultyDestination(never, { file: 'manifest', kind: 'commit-hang' }), name: 'never' },
    { to: broken, name: 'broken', steps: [zstd, dies] },
  ],
  { stallMs: 1000 },
);
const cancelled = new BackupEngine();
const hung = new ScriptedSource({ name: 'one', bytes: MIB, hangsAfter: MIB / 2 });
const { run, joins } = planRun(cancelled, [hung], [{ to: slow, name: 'slow' }]);
run.seal();
setTimeout(() => cancelled.cancel(run.id, 'test'), 200);
await Promise.allSettled(joins);
await cancelled.idle();
const { sets } = await listBackupSets(good, { prefix: '', signal });
for (const set of sets) await verifySet({ set, level: 'content', keys: EMPTY_KEY_RING, signal });
await engine.shutdown('done');
await Promise.all(places.map(({ remove }) => remove()));
process.stdout.write(`done ${sets.length}`);
