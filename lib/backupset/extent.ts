import { z } from 'zod';
import { DigestTap } from '../bytes/digest.ts';
import { passReleases } from '../bytes/release.ts';
import type { ByteStream } from '../bytes/stream.ts';
import { BackupError } from '../errors.ts';

/** Bytes and SHA-256 (lower-case hex) of a file or stream. */
export const extent = z.object({
  bytes: z.number().int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

export type Extent = Readonly<z.infer<typeof extent>>;

export interface ExtentCheck {
  readonly expected: Extent;
  /** Begins the error: `file:///b/x/a.sqlite is damaged: the manifest names`. */
  readonly complaint: string;
  onBytes?(total: number): void;
}

/**
 * Passes a stream on and ends with an error unless it is exactly the expected bytes. One that is too long
 * is given up at the first byte too many, so that it cannot fill a disk.
 * @throws BackupError `incomplete` when bytes are missing, `corrupt` when there are more or others
 */
export function exactly(input: ByteStream, check: ExtentCheck): ByteStream {
  return passReleases(input, checked(input, check));
}

async function* checked(
  input: ByteStream,
  { expected, complaint, onBytes }: ExtentCheck,
): AsyncGenerator<Buffer, undefined> {
  const tap = new DigestTap(input, onBytes);
  const mismatch = (code: 'incomplete' | 'corrupt', found: string) =>
    new BackupError(code, `${complaint} ${expected.bytes} bytes with SHA-256 ${expected.sha256}, ${found}`);
  for await (const chunk of tap) {
    if (tap.bytes > expected.bytes) throw mismatch('corrupt', 'but there are more');
    yield chunk;
  }
  if (tap.bytes < expected.bytes) throw mismatch('incomplete', `but there are only ${tap.bytes}`);
  if (tap.sha256() !== expected.sha256) throw mismatch('corrupt', `but found is SHA-256 ${tap.sha256()}`);
}

/** What has passed a tap whose stream has ended. */
export function extentOf(tap: DigestTap): Extent {
  return { bytes: tap.bytes, sha256: tap.sha256() };
}

export function sameExtent(a: Extent, b: Extent): boolean {
  return a.bytes === b.bytes && a.sha256 === b.sha256;
}
