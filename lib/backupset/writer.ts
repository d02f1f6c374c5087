import type { ByteStream } from '../bytes/stream.ts';
import { type Manifest, manifestText } from './manifest.ts';
import { MANIFEST_FILE } from './names.ts';
import { restoreGuide } from './restore-guide.ts';
import { sumsFiles } from './sums.ts';

/** The folder of a set that is being written. */
export interface SetFiles {
  /** Stores one file and commits it. */
  store(file: string, bytes: ByteStream, options: { readonly expectedBytes: number }): Promise<void>;
}

/**
 * Completes a set whose artifacts are committed: checksum files, then the guide, then the manifest,
 * each committed before the next. Only the last one makes the set exist (invariant 2).
 * @throws BackupError `internal` before anything is written, when the manifest could not be read back
 */
export async function completeSet(folder: SetFiles, manifest: Manifest): Promise<void> {
  const texts = [
    ...sumsFiles(manifest),
    restoreGuide(manifest),
    { name: MANIFEST_FILE, text: manifestText(manifest) },
  ];
  for (const { name, text } of texts) {
    const bytes = Buffer.from(text);
    await folder.store(name, once(bytes), { expectedBytes: bytes.length });
  }
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer, undefined> {
  yield bytes;
}
