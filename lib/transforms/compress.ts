import zlib from 'node:zlib';
import { z } from 'zod';
import type { ByteStream } from '../bytes/stream.ts';
import { BackupError } from '../errors.ts';
import { compressBrotli, decompressBrotli } from './brotli.ts';
import { decompressGzip } from './gunzip.ts';
import { compressGzip } from './gzip.ts';
import { type CompressRecord, compressRecord } from './records.ts';
import type { Transform, UndoCommand } from './transform.ts';
import { decompressZstd } from './unzstd.ts';
import { compressZstd } from './zstd.ts';

export type CompressAlgorithm = CompressRecord['algorithm'];

export const COMPRESS_EXTENSIONS: Readonly<Record<CompressAlgorithm, string>> = {
  zstd: '.zst',
  gzip: '.gz',
  brotli: '.br',
};

/** The levels that each algorithm has: higher is smaller and slower. */
export const COMPRESS_LEVELS: Readonly<
  Record<CompressAlgorithm, { readonly min: number; readonly max: number; readonly default: number }>
> = {
  zstd: { min: 1, max: 19, default: 3 },
  gzip: { min: 1, max: 9, default: 6 },
  brotli: { min: 0, max: 11, default: 4 },
};

/**
 * `level` is optional: without it the algorithm's own default is taken. `rsyncable` keeps the compressed form of what
 * has not changed since the last backup, so that rsync need not send it again; that takes about a tenth more time.
 */
export const compressOptions = z
  .object({
    algorithm: compressRecord.shape.algorithm.default('zstd'),
    level: z.number().int().optional(),
    rsyncable: z.boolean().default(false),
  })
  .superRefine(({ algorithm, level, rsyncable }, context) => {
    if (rsyncable && algorithm === 'brotli') {
      context.addIssue({
        code: 'custom',
        path: ['rsyncable'],
        message: 'brotli cannot be made for rsync: take zstd or gzip',
      });
    }
    const { min, max } = COMPRESS_LEVELS[algorithm];
    if (level === undefined || (level >= min && level <= max)) return;
    context.addIssue({
      code: 'custom',
      path: ['level'],
      message: `the level of ${algorithm} is between ${min} and ${max}, not ${level}`,
    });
  });

export type CompressOptions = z.input<typeof compressOptions>;

type Compress = (
  input: ByteStream,
  settings: { readonly level: number; readonly rsyncable: boolean },
  signal: AbortSignal,
) => ByteStream;

const COMPRESS: Readonly<Record<CompressAlgorithm, Compress>> = {
  zstd: compressZstd,
  gzip: compressGzip,
  brotli: (input, { level }, signal) => compressBrotli(input, level, signal),
};

/**
 * The compressing transform: zstd and gzip in parallel on the thread pool, all three as standard files.
 * @throws BackupError `invalid-config` when the options are wrong, `unavailable` when this Node lacks zstd
 */
export function createCompress(options: CompressOptions = {}): Transform {
  const parsed = compressOptions.safeParse(options);
  if (!parsed.success) {
    throw new BackupError(
      'invalid-config',
      `Compress: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`,
    );
  }
  const { algorithm, rsyncable } = parsed.data;
  const level = parsed.data.level ?? COMPRESS_LEVELS[algorithm].default;
  requireEngine(algorithm);
  return {
    kind: 'compress',
    extension: COMPRESS_EXTENSIONS[algorithm],
    forward: (input, signal) => ({
      output: COMPRESS[algorithm](input, { level, rsyncable }, signal),
      record: () => ({ kind: 'compress', algorithm, level }),
    }),
  };
}

export interface DecompressOptions {
  /**
   * `required`: the file must bear the end mark that `createCompress` writes into zstd and gzip files, so
   * that a cut between two of its frames is found. `optional` (the default) also takes foreign files.
   */
  readonly end: 'required' | 'optional';
}

/**
 * Undoes a compression. Nothing is read before the result is pulled; memory is bounded whatever the file
 * declares.
 * @throws BackupError while it is read: `incomplete`, `corrupt`, `aborted`
 */
export function decompress(
  algorithm: CompressAlgorithm,
  input: ByteStream,
  signal: AbortSignal,
  options: DecompressOptions = { end: 'optional' },
): ByteStream {
  requireEngine(algorithm);
  switch (algorithm) {
    case 'zstd':
      return decompressZstd(input, signal, options);
    case 'gzip':
      return decompressGzip(input, signal, options);
    case 'brotli':
      return decompressBrotli(input, signal);
  }
}

const UNDO_TOOLS: Readonly<Record<CompressAlgorithm, { readonly tool: string; readonly command: string }>> = {
  zstd: { tool: 'zstd', command: 'zstd -d -c' },
  gzip: { tool: 'gunzip', command: 'gunzip -c' },
  brotli: { tool: 'brotli', command: 'brotli -d -c' },
};

/** How a person decompresses the file with a standard tool. */
export function compressUndoCommand(record: CompressRecord): UndoCommand {
  const { tool, command } = UNDO_TOOLS[record.algorithm];
  return { tool, command: (input, output) => `${command} < ${input} > ${output}` };
}

/** Node has zstd since 22.15 and 23.8. */
function requireEngine(algorithm: CompressAlgorithm): void {
  if (algorithm !== 'zstd' || typeof zlib.createZstdCompress === 'function') return;
  throw new BackupError(
    'unavailable',
    `Node.js ${process.versions.node} has no zstd: update it to 22.15 or later, or compress with gzip`,
  );
}
