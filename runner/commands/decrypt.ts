import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { BLOCK_BYTES, type ByteStream } from '../../lib/bytes/stream.ts';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import { BackupError, errorAbout, toBackupError } from '../../lib/errors.ts';
import { COMPRESS_EXTENSIONS, decompress } from '../../lib/transforms/compress.ts';
import { decryptAny } from '../../lib/transforms/decrypt.ts';
import { formatBytes } from '../../nodes/status/quantities.ts';
import type { CommandBody } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { type KeyOptions, keyRing } from '../key-options.ts';
import { createMeter, type Meter } from '../report/meter.ts';

export interface DecryptInput extends KeyOptions {
  readonly file: string;
  readonly out: string;
  readonly decompress?: boolean;
}

/** Decrypts a loose `.dbk` or `.age` file. Nothing is left behind when a chunk does not authenticate. */
export const decrypt: CommandBody<DecryptInput> = async (input, { output, signal, env }) => {
  const keys = await keyRing(input, env);
  const size = await sizeOf(input.file);
  const algorithm = input.decompress ? compressionOf(input.file) : undefined;
  const meter = await createMeter('decrypting');
  const plain = decryptAny(metered(input.file, size, meter), { keys, signal });
  const bytes = algorithm === undefined ? plain : decompress(algorithm, plain, signal, { end: 'required' });
  const written = await writeNewFile(input.out, naming(input.file, bytes), signal).finally(meter.stop);
  output.print(`${input.out} written: ${formatBytes(written)}, every chunk authentic`);
  return EXIT.ok;
};

/** The decoders do not know what their file is called. */
async function* naming(file: string, bytes: ByteStream): ByteStream & AsyncGenerator<Buffer> {
  try {
    yield* bytes;
  } catch (thrown) {
    throw errorAbout(file, thrown);
  }
}

/** Through the local destination: complete and synced under its name, or not there at all. */
async function writeNewFile(out: string, bytes: ByteStream, signal: AbortSignal): Promise<number> {
  const folder = createLocalDestination({ root: dirname(resolve(out)), reserveMiB: 0 });
  const pending = await folder.write(basename(out), bytes, { signal });
  await pending.commit();
  return pending.bytes;
}

async function* metered(file: string, size: number, meter: Meter): ByteStream & AsyncGenerator<Buffer> {
  let done = 0;
  for await (const chunk of createReadStream(file, { highWaterMark: BLOCK_BYTES })) {
    done += chunk.length;
    meter.update(done, size);
    yield chunk;
  }
}

async function sizeOf(file: string): Promise<number> {
  const found = await stat(file).catch((thrown: unknown) => {
    throw toBackupError(thrown, `${file} cannot be read`);
  });
  if (found.isFile()) return found.size;
  throw new BackupError('invalid-config', `${file} is not a file`);
}

/** The compression that a name like `shop.sqlite.zst.dbk` tells of. */
function compressionOf(file: string): keyof typeof COMPRESS_EXTENSIONS {
  const inner = file.replace(/\.(dbk|age)$/, '');
  for (const [algorithm, extension] of Object.entries(COMPRESS_EXTENSIONS)) {
    if (inner.endsWith(extension)) return algorithm as keyof typeof COMPRESS_EXTENSIONS;
  }
  throw new BackupError(
    'invalid-config',
    `The name ${file} does not tell a compression (${Object.values(COMPRESS_EXTENSIONS).join(', ')} before .dbk or .age): leave --decompress out`,
  );
}
