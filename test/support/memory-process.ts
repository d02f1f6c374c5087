import { randomBytes } from 'node:crypto';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import type { SourceDriver } from '../../lib/sources/driver.ts';
import { createCompress } from '../../lib/transforms/compress.ts';
import { createEncrypt } from '../../lib/transforms/encrypt.ts';
import { sqlText } from './byte-streams.ts';
import { runEngine } from './engine-run.ts';

/**
 * A process of its own, so that its memory is that of the engine: backs up `argv[2]` databases of `argv[3]`
 * bytes each, all at a time, over a fork of three branches, of which one takes `argv[4]` bytes per second,
 * and prints what it took.
 */
const [databases, bytes, slowBytesPerSecond] = process.argv.slice(2).map(Number) as [number, number, number];
const BLOCK = sqlText(1024 * 1024);

/** Fresh buffers for every block, as from a child process: only those that are kept count. */
async function* blocks(): AsyncGenerator<Buffer> {
  for (let left = bytes; left > 0; left -= BLOCK.length) {
    yield Buffer.from(left < BLOCK.length ? BLOCK.subarray(0, left) : BLOCK);
  }
}

const source: SourceDriver = {
  kind: 'synthetic',
  describe: () => 'synthetic',
  probe: async () => ({ version: '1', summary: '', warnings: [] }),
  lane: { key: 'synthetic', limit: databases },
  listDatabases: async () => Array.from({ length: databases }, (_, n) => ({ id: `${n}`, name: `big ${n}` })),
  dump: async () => ({
    stream: blocks(),
    proof: Promise.resolve({ statement: 'all', facts: {}, warnings: [] }),
    format: 'synthetic',
    extension: '.txt',
    version: '1',
  }),
};

/** A storage that keeps nothing but the number of bytes of each file. */
function sink(name: string): DestinationDriver {
  const sizes = new Map<string, number>();
  const refuse = async () => {
    throw new Error('not part of this process');
  };
  return {
    kind: 'null',
    describe: () => `null:${name}`,
    properties: { ranges: false, atomicReplace: false, concurrency: 8 },
    probe: refuse,
    read: refuse,
    async *list() {},
    stat: async (path) => {
      const size = sizes.get(path);
      return size === undefined ? undefined : { path, bytes: size, modified: new Date() };
    },
    remove: async () => undefined,
    sweep: async () => [],
    write: async (path, stream) => {
      let taken = 0;
      for await (const chunk of stream) taken += chunk.length;
      const commit = async () => void sizes.set(path, taken);
      return { bytes: taken, commit, abort: async () => undefined };
    },
  };
}

const before = process.memoryUsage.rss();
let peak = before;
const sampling = setInterval(() => {
  peak = Math.max(peak, process.memoryUsage.rss());
}, 50);
const key = { type: 'vault', id: 'k', version: 1, key: randomBytes(32) } as const;
const zstd = { node: 'zstd', transform: createCompress({ algorithm: 'zstd', level: 1 }) };
const encrypt = { node: 'encrypt', transform: createEncrypt(key, { format: 'dbk' }) };
const { result } = await runEngine(source, [
  { to: sink('zipped'), name: 'zipped', steps: [zstd] },
  { to: sink('sealed'), name: 'sealed', steps: [zstd, encrypt] },
  { to: sink('slow'), name: 'slow', bytesPerSecond: slowBytesPerSecond },
]);
clearInterval(sampling);
process.stdout.write(
  JSON.stringify({ state: result.state, rawBytes: result.rawBytes, growth: peak - before }),
);
