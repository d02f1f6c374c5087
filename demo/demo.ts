import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isStored } from '../lib/backupset/manifest.ts';
import { formatBytes } from '../nodes/status/quantities.ts';
import { formatDuration } from '../runner/format.ts';
import { differences } from './compare.ts';
import { backUp, type FinishedRun, newestManifest, restore, verify } from './runner-calls.ts';
import { inspectSampleDatabase, ledgerLength, STATIC_TABLES } from './sample-database.ts';
import { ensureBuilt, ensureDatabase, ensureSecrets, PLACES, ROOT } from './workspace.ts';

/*
 * `npm run demo`: backs a live database up through the quick-start flow, verifies both copies, restores one,
 * and compares it with what the source held. Ends with an error when anything differs.
 */

const began = performance.now();
const storages = [PLACES.firstDisk, PLACES.secondDisk];
const restored = join(PLACES.restored, 'shop-restored.sqlite');

prepare();
say(
  'Database',
  `${formatBytes(statSync(PLACES.database).size)} in ${short(PLACES.database)}, WAL, a writer at work`,
);

const writer = await startWriter();
try {
  const before = ledgerLength(PLACES.database);
  const run = await backUp();
  const after = ledgerLength(PLACES.database);
  sayRun(run);
  await compareSets();
  await timed('Verified', 'both sets: decrypted, decompressed, every hash as recorded', async () => {
    for (const storage of storages) await verify(storage);
  });
  await timed('Restored', short(restored), () => restore(PLACES.firstDisk, restored));
  compareDatabases(before, after);
} finally {
  await stop(writer);
}
say('Done', `in ${formatDuration(performance.now() - began)}; everything is still there to look at in .demo`);

/** The database and the keys stay from call to call; what earlier calls stored goes. */
function prepare(): void {
  ensureBuilt();
  ensureDatabase();
  ensureSecrets();
  for (const folder of [...storages, PLACES.restored]) rmSync(folder, { recursive: true, force: true });
  mkdirSync(PLACES.restored, { recursive: true });
}

async function startWriter(): Promise<ChildProcess> {
  const script = join(ROOT, 'demo', 'ledger-writer.ts');
  const child = spawn(process.execPath, [script, PLACES.database], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) throw new Error(`The writer ended by itself with exit code ${child.exitCode}`);
  child.kill('SIGTERM');
  await once(child, 'exit');
}

function sayRun({ openedAt, finishedAt, rawBytes, destinations }: FinishedRun): void {
  const ms = finishedAt.getTime() - openedAt.getTime();
  const rate = formatBytes((rawBytes / ms) * 1000);
  say(
    'Backup',
    `one dump of ${formatBytes(rawBytes)} in ${formatDuration(ms)} (${rate}/s), zstd, AES-256-GCM`,
  );
  for (const { set } of destinations) {
    say('', `${formatBytes(set.storedBytes)} in ${short(join(fileURLToPath(set.storage), set.path))}`);
  }
}

/** Both destinations were fed from one dump: what they hold is the same, byte by byte. */
async function compareSets(): Promise<void> {
  const digests = await Promise.all(
    storages.map(async (storage) =>
      (await newestManifest(storage)).artifacts.filter(isStored).map(({ stored }) => stored.sha256),
    ),
  );
  const [first, second] = digests.map((each) => each.join(' '));
  check(first !== '' && first === second, 'The two sets do not hold the same bytes');
}

function compareDatabases(before: number, after: number): void {
  const copy = inspectSampleDatabase(restored);
  const found = differences({
    source: inspectSampleDatabase(PLACES.database),
    restored: copy,
    before,
    after,
  });
  check(found.length === 0, found.join('\n'));
  say('Compared', `${STATIC_TABLES.join(', ')} are identical to the source's`);
  say('', `the ledger holds entries 1 to ${copy.ledger} without a gap, and its balance is their sum`);
  say('', `(the writer had booked ${before} before the dump and ${after} at its end)`);
}

async function timed(what: string, text: string, act: () => Promise<void>): Promise<void> {
  const start = performance.now();
  await act();
  say(what, `${text} (${formatDuration(performance.now() - start)})`);
}

function check(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

function say(what: string, text: string): void {
  console.log(`${what.padEnd(10)}${text}`);
}

function short(path: string): string {
  return relative(ROOT, path);
}
