import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BLOCK_BYTES } from '../../lib/bytes/stream.ts';
import { type CompressAlgorithm, createCompress, decompress } from '../../lib/transforms/compress.ts';
import { collect, cut, noise, outcomeOf, sha256, sqlText } from '../support/byte-streams.ts';

const never = new AbortController().signal;

/** Runs a program on bytes; fails the test when the program fails. */
function run(program: string, args: readonly string[], input: Buffer): Buffer {
  const { status, stdout, stderr, error } = spawnSync(program, args, { input, maxBuffer: 256 * BLOCK_BYTES });
  if (error !== undefined) throw error;
  assert.equal(status, 0, `${program} ${args.join(' ')}: ${stderr}`);
  return stdout;
}

async function read(algorithm: CompressAlgorithm, bytes: Buffer): Promise<Buffer> {
  return collect(decompress(algorithm, cut(bytes, 65536), never));
}

async function write(algorithm: CompressAlgorithm, raw: Buffer): Promise<Buffer> {
  return collect(createCompress({ algorithm }).forward(cut(raw, 65536), never).output);
}

describe('compression programs', () => {
  const raw = Buffer.concat([sqlText(7 * BLOCK_BYTES), noise(BLOCK_BYTES), Buffer.alloc(3 * BLOCK_BYTES)]);
  let folder: string;
  let file: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dbackup-programs-'));
    file = join(folder, 'dump.sql');
    await writeFile(file, raw);
  });

  after(async () => {
    await rm(folder, { recursive: true });
  });

  describe('write what we read', () => {
    const variants: [CompressAlgorithm, string, string[]][] = [
      ['zstd', 'zstd', ['-1', '-T0']],
      ['zstd', 'zstd', ['-3', '-T0', '-B1M']],
      ['zstd', 'zstd', ['-9', '--single-thread']],
      ['zstd', 'zstd', ['--fast=5', '--no-check']],
      ['zstd', 'zstd', ['-3', '--long=27']],
      ['gzip', 'gzip', ['-1']],
      ['gzip', 'gzip', ['-9', '--rsyncable']],
      ['gzip', 'gzip', ['--name']],
      ['brotli', 'brotli', ['-q', '0']],
      ['brotli', 'brotli', ['-q', '5', '--lgwin=24']],
    ];
    for (const [algorithm, program, args] of variants) {
      it(`${program} ${args.join(' ')}`, async () => {
        const ofFile = run(program, [...args, '-c', file], Buffer.alloc(0));
        assert.equal(sha256(await read(algorithm, ofFile)), sha256(raw));
        const ofPipe = run(program, [...args, '-c'], raw.subarray(0, 700_000));
        assert.equal(sha256(await read(algorithm, ofPipe)), sha256(raw.subarray(0, 700_000)));
        if (algorithm === 'brotli') return;
        const both = await read(algorithm, Buffer.concat([ofPipe, ofFile, ofPipe]));
        assert.equal(both.length, raw.length + 1_400_000);
      });
    }
  });

  for (const [algorithm, program] of [
    ['zstd', 'zstd'],
    ['gzip', 'gzip'],
    ['brotli', 'brotli'],
  ] as const) {
    it(`${program} finds our file whole, and a damaged one not`, async () => {
      const path = join(folder, `own.${algorithm}`);
      const stored = await write(algorithm, raw);
      assert.equal(sha256(run(program, ['-d', '-c'], stored)), sha256(raw));
      await writeFile(path, stored.subarray(0, stored.length / 2));
      assert.notEqual(spawnSync(program, ['-d', '-c'], { input: await readFile(path) }).status, 0);
    });
  }

  it('zstd knows the size and the checksums of our file', async () => {
    const path = join(folder, 'own.zst');
    await writeFile(path, await write('zstd', raw));
    const listed = run('zstd', ['-l', '-v', path], Buffer.alloc(0)).toString();
    assert.match(listed, new RegExp(`Decompressed Size: .*\\(${raw.length} B\\)`));
    assert.match(listed, /Zstandard Frames: 11|Number of Frames: 12/);
    assert.match(listed, /Skippable Frames: 1/);
    assert.match(listed, /Check: XXH64/);
  });

  it('a file of other programs needs no more memory than zstd itself allows', async () => {
    const huge = run('zstd', ['--long=31', '--ultra', '-c'], Buffer.from('little'));
    const outcome = await outcomeOf(decompress('zstd', cut(huge, 100), never));
    assert.ok(!outcome.ok);
    assert.match(String(outcome.error), /window of 2147483648 bytes.*--long=31/);
  });
});
