import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { inspectSampleDatabase } from '../../demo/sample-database.ts';
import { generateAgeIdentity } from '../../lib/keys/age-identity.ts';
import type { FlowEntry } from '../../runner/runtime.ts';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { appears } from '../support/runner-moments.ts';
import { dbackup, RunnerProcess } from '../support/runner-process.ts';
import { processesWithTemp } from '../support/runner-traces.ts';
import { chunksOf, type StoredFormat } from '../support/stored-chunks.ts';
import { until } from '../support/until.ts';

const FORMATS: readonly StoredFormat[] = ['zst', 'gz', 'br', 'dbk', 'age'];
/** `sqlite` is the database as it is. */
type Format = StoredFormat | 'sqlite';

/** What happens to a file; its pieces are the header, if there is one, and the chunks. */
const DAMAGES: Readonly<Record<string, (pieces: readonly Buffer[]) => readonly Buffer[]>> = {
  cut: (pieces) => pieces.slice(0, -2),
  'with a flipped bit': (pieces) => flipped(pieces, Math.floor(pieces.length / 2)),
  'with chunks in another order': ([a, b, c, d, ...rest]) => defined(a, b, d, c, ...rest),
  'with a doubled chunk': ([a, b, c, ...rest]) => defined(a, b, c, c, ...rest),
};

describe('stored sets that were damaged', function () {
  this.timeout(240_000);
  let work: RunnerWorkspace;
  let identity: string;

  before(async () => {
    work = new RunnerWorkspace(6_000_000);
    const pair = await generateAgeIdentity();
    identity = work.write('identity.txt', `${pair.identity}\n`);
    const flow = work.write('flow.json', flowOfAllFormats(work, pair.recipient));
    const { code, stderr } = await dbackup(['run', flow], { env: work.env() });
    assert.equal(code, 0, stderr);
  });

  after(() => work.remove());

  const call = (...args: string[]) =>
    dbackup([...args, '--identity', identity], { env: work.env(), cwd: work.root });

  for (const format of FORMATS) {
    for (const [what, damage] of Object.entries(DAMAGES)) {
      it(`.${format} ${what}: verify names the file, restore leaves the target as it was`, async () => {
        rmSync(join(work.root, 'damaged'), { recursive: true, force: true });
        const storage = damagedCopy(work, format, damage);
        const file = fileOf(storage.plain, format);
        const target = join(storage.folder, 'target', 'shop.sqlite');
        mkdirSync(join(storage.folder, 'target'));
        writeFileSync(target, 'the old content');
        const [verified, restored] = await Promise.all([
          call('verify', 'latest', '--storage', storage.plain, '--level', 'content'),
          call('restore', 'latest', '--storage', storage.forged, '--to', target, '--overwrite'),
        ]);
        assert.equal(verified.code, 1, verified.stdout);
        assert.match(verified.stdout, new RegExp(`^FAILED +${file.name}: .*${file.name}`));
        assert.equal(restored.code, 1, restored.stdout);
        assert.match(
          restored.stderr,
          new RegExp(`^dbackup: .*${file.name}.*\n$`),
          'one line, naming the file',
        );
        assert.deepEqual(readdirSync(join(storage.folder, 'target')), ['shop.sqlite']);
        assert.equal(readFileSync(target, 'utf8'), 'the old content');
      });
    }
  }

  it('whose database is damaged itself: restore finds it before the target is touched', async () => {
    const { storage, target } = await plainSetAndTarget(work);
    const { path } = fileOf(storage, 'sqlite');
    writeFileSync(path, scribbled(readFileSync(path)));
    forgeManifest(storage, 'sqlite');
    const verify = await call('verify', 'latest', '--storage', storage, '--level', 'content');
    assert.equal(verify.code, 0, 'its bytes are what the manifest names');
    for (const option of ['--overwrite', '--no-safety-copy']) {
      const args = ['restore', 'latest', '--storage', storage, '--to', target, '--overwrite', option];
      const { code, stderr } = await call(...args);
      assert.equal(code, 1);
      assert.match(stderr, /^dbackup: .*shop\.sqlite.* is damaged, integrity_check found: .*\n$/);
      assert.deepEqual(readdirSync(join(target, '..')), ['shop.sqlite']);
      assert.equal(readFileSync(target, 'utf8'), 'the old content');
    }
  });

  for (const [signal, expected] of [
    ['SIGTERM', 143],
    ['SIGKILL', null],
  ] as const) {
    it(`restored until ${signal}: leaves the target as it was, and restores the next time`, async () => {
      const { storage, target } = await plainSetAndTarget(work);
      const args = ['restore', 'latest', '--storage', storage, '--to', target, '--overwrite'];
      const runner = new RunnerProcess(args, { env: work.env() });
      await appears(join(target, '..'), /^\.shop\.sqlite\.restoring-/);
      runner.kill(signal);
      assert.equal((await runner.finished).code, expected);
      await until(() => processesWithTemp(work.temp).length === 0, 120_000);
      assert.equal(readFileSync(target, 'utf8'), 'the old content');
      const left = readdirSync(join(target, '..')).filter((name) => name !== 'shop.sqlite');
      if (signal === 'SIGTERM') assert.deepEqual(left, []);
      for (const name of left) assert.match(name, /^\.shop\.sqlite\.restoring-[0-9a-f-]+$/);
      const { code, stdout, stderr } = await call(...args, '--json');
      assert.equal(code, 0, stderr);
      const safetyCopy = String(JSON.parse(stdout).safetyCopy);
      assert.equal(readFileSync(safetyCopy, 'utf8'), 'the old content');
      assert.deepEqual(readdirSync(join(target, '..')).sort(), ['shop.sqlite', basename(safetyCopy)]);
      assert.deepEqual(inspectSampleDatabase(target), inspectSampleDatabase(work.database));
    });
  }
});

/** A copy of the set that was stored as it is, and a file where it is to be restored. */
async function plainSetAndTarget(work: RunnerWorkspace): Promise<{ storage: string; target: string }> {
  const folder = join(work.root, 'damaged');
  rmSync(folder, { recursive: true, force: true });
  const storage = join(folder, 'storage');
  cpSync(join(work.first, 'sqlite'), storage, { recursive: true });
  mkdirSync(join(folder, 'target'));
  const target = join(folder, 'target', 'shop.sqlite');
  writeFileSync(target, 'the old content');
  return { storage, target };
}

interface Copies {
  readonly folder: string;
  /** A storage whose file differs from its manifest. */
  readonly plain: string;
  /** The same, with a manifest that names the damaged bytes: only their inner proofs can tell. */
  readonly forged: string;
}

function damagedCopy(work: RunnerWorkspace, format: StoredFormat, damage: (typeof DAMAGES)[string]): Copies {
  const folder = join(work.root, 'damaged');
  const [plain, forged] = [join(folder, 'plain'), join(folder, 'forged')];
  for (const copy of [plain, forged]) {
    cpSync(join(work.first, format), copy, { recursive: true });
    const { path } = fileOf(copy, format);
    const bytes = readFileSync(path);
    const broken = Buffer.concat([...damage(chunksOf(format, bytes))]);
    assert.ok(!broken.equals(bytes), 'it is damaged');
    writeFileSync(path, broken);
  }
  forgeManifest(forged, format);
  return { folder, plain, forged };
}

function forgeManifest(storage: string, format: Format): void {
  const { path, folder } = fileOf(storage, format);
  const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
  const bytes = readFileSync(path);
  const [artifact] = manifest.artifacts;
  artifact.stored = { bytes: bytes.length, sha256: sha256(bytes) };
  if (artifact.steps.length === 0) artifact.raw = artifact.stored;
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
}

function fileOf(storage: string, format: Format): { folder: string; name: string; path: string } {
  const [set, ...others] = readdirSync(join(storage, 'shop'));
  assert.ok(set !== undefined && others.length === 0);
  const folder = join(storage, 'shop', set);
  const name = readdirSync(folder).find((each) => each.endsWith(`.${format}`)) ?? '';
  return { folder, name, path: join(folder, name) };
}

/** One dump, stored in every format, each in a folder of its own. */
function flowOfAllFormats(work: RunnerWorkspace, recipient: string): FlowEntry[] {
  const node = (id: string, type: string, wires: readonly string[], settings: object): FlowEntry => ({
    id,
    type,
    z: 'tab',
    x: 1,
    y: 1,
    wires: [wires],
    schemaVersion: 1,
    ...settings,
  });
  const compress = (id: string, algorithm: string, wires: readonly string[]) =>
    node(id, 'dbackup-compress', wires, { algorithm, level: 1 });
  const config = (id: string, type: string, settings: object): FlowEntry => ({
    id,
    type,
    schemaVersion: 1,
    ...settings,
  });
  return [
    { id: 'tab', type: 'tab', label: 'All formats' },
    node('go', 'inject', ['src'], { props: [], repeat: '', crontab: '', once: false }),
    node('src', 'dbackup-sqlite', ['to-sqlite', 'zstd', 'gzip', 'brotli'], {
      job: 'shop',
      files: [work.database],
    }),
    compress('zstd', 'zstd', ['to-zst', 'enc-dbk', 'enc-age']),
    compress('gzip', 'gzip', ['to-gz']),
    compress('brotli', 'brotli', ['to-br']),
    node('enc-dbk', 'dbackup-encrypt', ['to-dbk'], { key: 'key-dbk', format: 'dbk' }),
    node('enc-age', 'dbackup-encrypt', ['to-age'], { key: 'key-age', format: 'age' }),
    ...[...FORMATS, 'sqlite'].map((format) =>
      node(`to-${format}`, 'dbackup-local', [], { storage: 'disk', folder: format, rate: '' }),
    ),
    config('disk', 'dbackup-local-storage', { name: 'd', root: work.first, create: false, reserveMiB: 0 }),
    config('key-dbk', 'dbackup-key', { name: 'v', kind: 'vault', keyName: 'main' }),
    config('key-age', 'dbackup-key', { name: 'a', kind: 'age', recipients: [recipient] }),
  ];
}

function flipped(pieces: readonly Buffer[], at: number): readonly Buffer[] {
  return pieces.map((piece, index) => {
    if (index !== at) return piece;
    const copy = Buffer.from(piece);
    copy[copy.length >> 1] = (copy[copy.length >> 1] ?? 0) ^ 1;
    return copy;
  });
}

/** A database whose sixth page says nothing that SQLite understands. */
function scribbled(database: Buffer): Buffer {
  return Buffer.from(database).fill(0xee, 5 * 4096, 5 * 4096 + 200);
}

function defined(...pieces: readonly (Buffer | undefined)[]): Buffer[] {
  return pieces.map((piece) => {
    assert.ok(piece !== undefined, 'the file has enough chunks');
    return piece;
  });
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
