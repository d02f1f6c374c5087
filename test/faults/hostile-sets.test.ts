import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import zlib from 'node:zlib';
import { type Manifest, parseManifest } from '../../lib/backupset/manifest.ts';
import { type BackupSet, findArtifact, openBackupSet } from '../../lib/backupset/reader.ts';
import { readStored } from '../../lib/backupset/stored-stream.ts';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { BackupError } from '../../lib/errors.ts';
import { EMPTY_KEY_RING } from '../../lib/keys/keys.ts';
import { readRecipe } from '../../lib/plan/recipe.ts';
import { readRaw } from '../../lib/restore/raw-stream.ts';
import { restoreArtifact } from '../../lib/restore/restore.ts';
import { verifySet } from '../../lib/restore/verify.ts';
import { createCompress } from '../../lib/transforms/compress.ts';
import { createEncrypt } from '../../lib/transforms/encrypt.ts';
import type { Transform } from '../../lib/transforms/transform.ts';
import { runEngine, useLocalFolders } from '../support/engine-run.ts';
import { openFilesBelow } from '../support/open-files.ts';
import { sampleManifest } from '../support/sample-manifest.ts';
import { ScriptedSource } from '../support/scripted-source.ts';

const MIB = 1024 * 1024;
const signal = new AbortController().signal;

/** Counts what gets through of a stream that fails. */
async function drainFailing(stream: AsyncIterable<Buffer>): Promise<{ bytes: number; error: unknown }> {
  let bytes = 0;
  try {
    for await (const chunk of stream) bytes += chunk.length;
  } catch (error) {
    return { bytes, error };
  }
  return { bytes, error: undefined };
}

describe('sets that lie', () => {
  const folder = useLocalFolders();

  async function stored(bytes: number, ...transforms: Transform[]) {
    const a = await folder();
    const steps = transforms.map((transform, index) => ({ node: `t${index}`, transform }));
    const source = new ScriptedSource({ name: 'one', bytes });
    const { outcomes } = await runEngine(source, [{ to: a.driver, name: 'a', steps }]);
    const outcome = outcomes.get('a');
    assert.ok(outcome?.status === 'fulfilled');
    const path = `sets/${outcome.value.reference.path}`;
    const set = await openBackupSet(a.driver, path, signal);
    return { a, set, artifact: findArtifact(set, 'one') };
  }

  for (const algorithm of ['zstd', 'gzip', 'brotli'] as const) {
    it(`gives up a ${algorithm} bomb at its first bytes too many`, async () => {
      const { set, artifact } = await stored(64 * MIB, createCompress({ algorithm }));
      const small = { ...artifact, raw: { ...artifact.raw, bytes: 1024 } };
      const { bytes, error } = await drainFailing(
        readRaw({ set, artifact: small, keys: EMPTY_KEY_RING, signal }),
      );
      assert.ok(error instanceof BackupError && error.code === 'corrupt', String(error));
      assert.match(error.message, /it had 1024 bytes .* there are more/);
      assert.ok(bytes <= 1024, `${bytes} bytes were released`);
    });
  }

  it('reads no more of a stored file than the manifest names', async () => {
    const { set, artifact } = await stored(MIB);
    let given = 0;
    const endless: DestinationDriver = {
      ...set.driver,
      read: async () =>
        (async function* () {
          for (; given < 1000; given += 1) yield Buffer.alloc(MIB);
        })(),
    };
    const { error } = await drainFailing(readStored(endless, set.path, artifact, { signal }));
    assert.ok(error instanceof BackupError && error.code === 'corrupt');
    assert.ok(given <= 2, `${given} MiB were read`);
  });

  it('leaves no listener and no open file behind a reading that fails or is left', async () => {
    const { a, set, artifact } = await stored(
      8 * MIB,
      createCompress({ level: 1 }),
      createEncrypt({ type: 'vault', id: 'k', version: 1, key: randomBytes(32) }, { format: 'dbk' }),
    );
    const controller = new AbortController();
    const keys = EMPTY_KEY_RING;
    const report = await verifySet({ set, level: 'content', keys, signal: controller.signal });
    assert.equal(report.artifacts[0]?.error?.code, 'missing-key');
    for await (const chunk of readStored(set.driver, set.path, artifact, { signal: controller.signal })) {
      assert.ok(chunk.length > 0);
      break;
    }
    assert.ok((await verifySet({ set, level: 'hash', keys, signal: controller.signal })).ok);
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
    assert.deepEqual(await openFilesBelow(a.root), []);
  });

  it('refuses manifests that name other files, endless chains, bottomless options', () => {
    const good = sampleManifest();
    const [artifact] = good.artifacts;
    assert.ok(artifact?.status === 'ok');
    const refuse = (bad: unknown) =>
      assert.throws(() => parseManifest(JSON.stringify(bad), 'm'), { code: 'corrupt' });
    for (const file of ['../../etc/passwd', 'a\nb', 'a\u001b[2J', '.dbackup', 'C:\\x']) {
      refuse({ ...good, artifacts: [{ ...artifact, file }] });
      refuse({ ...good, artifacts: [{ ...artifact, rawFile: file }] });
    }
    refuse({ ...good, artifacts: [{ ...artifact, steps: Array(10_000).fill(artifact.steps[0]) }] });
    for (const bytes of [-1, 0.5, 2 ** 60, null]) {
      refuse({ ...good, artifacts: [{ ...artifact, raw: { ...artifact.raw, bytes } }] });
    }
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const text = JSON.stringify(good).replace('"level":3}}', `"level":${deep}}}`);
    assert.throws(() => parseManifest(text, 'm'), { code: 'corrupt' });
    let bottomless: unknown = 1;
    for (let depth = 0; depth < 100_000; depth += 1) bottomless = [bottomless];
    const cyclic: Record<string, unknown> = {};
    cyclic.self = cyclic;
    for (const options of [{ bottomless }, cyclic]) {
      const path = [{ type: 'source', node: 's', kind: 'sqlite', options }];
      assert.throws(() => readRecipe({ ...good.recipe, path }), { code: 'invalid-config' });
    }
  });

  it('finds steps that do not belong to the file', async () => {
    const { set, artifact } = await stored(MIB, createCompress({ level: 1 }));
    const lies: Manifest['artifacts'][number][] = [
      { ...artifact, steps: [] },
      { ...artifact, steps: [...artifact.steps, ...artifact.steps] },
      { ...artifact, steps: [{ kind: 'compress', algorithm: 'gzip', level: 6 }] },
      { ...artifact, steps: [{ kind: 'encrypt', format: 'dbk', key: { type: 'passphrase' } }] },
      { ...artifact, file: 'SHA256SUMS' },
      { ...artifact, file: 'nothing.here' },
      { ...artifact, raw: { ...artifact.raw, sha256: '00'.repeat(32) } },
    ];
    for (const lie of lies) {
      const lying: BackupSet = { ...set, manifest: { ...set.manifest, artifacts: [lie] } };
      const report = await verifySet({ set: lying, level: 'content', keys: EMPTY_KEY_RING, signal });
      const [verdict] = report.artifacts;
      assert.equal(report.ok, false);
      assert.ok(
        ['corrupt', 'incomplete', 'not-found'].includes(verdict?.error?.code ?? ''),
        String(verdict?.error),
      );
    }
    const none: BackupSet = { ...set, manifest: { ...set.manifest, artifacts: [] } };
    const report = await verifySet({ set: none, level: 'hash', keys: EMPTY_KEY_RING, signal });
    assert.equal(report.ok, false, 'a set without a database proves nothing');
  });

  it('never tells a target that the data has ended when it is damaged', async () => {
    const { a, set, artifact } = await stored(4 * MIB, createCompress({ algorithm: 'gzip', level: 1 }));
    const file = join(a.root, set.path, artifact.file);
    const good = await readFile(file);
    const other = zlib.gzipSync(Buffer.alloc(4 * MIB, 'x'));
    for (const bad of [
      good.subarray(0, good.length - 30),
      Buffer.concat([good, good]),
      other,
      Buffer.alloc(0),
    ]) {
      await writeFile(file, bad);
      let ended = false;
      const target = {
        kind: artifact.source,
        describe: () => 'a test',
        check: async () => undefined,
        restore: async (raw: AsyncIterable<Buffer>) => {
          for await (const _ of raw);
          ended = true;
          throw new Error('unreachable');
        },
      };
      await assert.rejects(
        restoreArtifact({ set, artifact, target, keys: EMPTY_KEY_RING, signal }),
        BackupError,
      );
      assert.equal(ended, false);
    }
  });

  it('gives up a storage that hangs while it is read', async () => {
    const { set, artifact } = await stored(4 * MIB);
    const whole = set.driver.read.bind(set.driver);
    const hanging: DestinationDriver = {
      ...set.driver,
      read: async (path, options) => {
        const stream = await whole(path, options);
        return (async function* () {
          for await (const chunk of stream) {
            yield chunk;
            await new Promise(() => undefined);
          }
        })();
      },
    };
    const { bytes, error } = await drainFailing(
      readStored(hanging, set.path, artifact, { signal, stallMs: 300 }),
    );
    assert.ok(bytes > 0 && error instanceof BackupError && error.code === 'stalled', String(error));
  });
});
