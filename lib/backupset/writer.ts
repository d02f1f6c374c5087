import type { DestinationDriver } from '../destinations/driver.ts';
import type { Manifest } from './manifest.ts';
import { joinPath, MANIFEST_FILE } from './names.ts';
import { restoreGuide } from './restore-guide.ts';
import { sumsFiles } from './sums.ts';

/**
 * Completes a set whose artifacts are committed: checksum files, then the guide, then the manifest,
 * each committed before the next. Only the last one makes the set exist (invariant 2).
 */
export async function completeSet(
  driver: DestinationDriver,
  folder: string,
  manifest: Manifest,
  signal: AbortSignal,
): Promise<void> {
  for (const { name, text } of [...sumsFiles(manifest), restoreGuide(manifest)]) {
    await writeText(driver, joinPath(folder, name), text, signal);
  }
  await writeText(driver, joinPath(folder, MANIFEST_FILE), manifestText(manifest), signal);
}

/**
 * Removes what a run has committed of a set that never got its manifest. Best effort: what cannot be
 * removed is invisible and swept later.
 */
export async function discardUncompletedSet(
  driver: DestinationDriver,
  folder: string,
  files: readonly string[],
): Promise<void> {
  const signal = AbortSignal.timeout(30_000);
  for (const file of files) await driver.remove(joinPath(folder, file), signal).catch(() => undefined);
}

function manifestText(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

async function writeText(
  driver: DestinationDriver,
  path: string,
  text: string,
  signal: AbortSignal,
): Promise<void> {
  const bytes = Buffer.from(text);
  const pending = await driver.write(path, once(bytes), { signal, expectedBytes: bytes.length });
  await pending.commit();
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer, undefined> {
  yield bytes;
}
