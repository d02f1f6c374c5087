import type { ByteStream } from '../bytes/stream.ts';
import type { DestinationDriver } from '../destinations/driver.ts';
import { readSteadily } from '../destinations/steady-read.ts';
import { exactly } from './extent.ts';
import type { StoredArtifact } from './manifest.ts';
import { joinPath } from './names.ts';

/**
 * The stored bytes of an artifact, checked while they pass: a stream that has ended without an error was
 * exactly what the manifest names.
 * @throws BackupError `incomplete` or `corrupt` when it is not, `stalled` or another of the storage
 */
export function readStored(
  driver: DestinationDriver,
  folder: string,
  artifact: StoredArtifact,
  options: { readonly signal: AbortSignal; readonly stallMs?: number },
): ByteStream {
  const path = joinPath(folder, artifact.file);
  return exactly(readSteadily(driver, path, options), {
    expected: artifact.stored,
    complaint: `${driver.describe()}/${path} is damaged: the manifest names`,
  });
}
