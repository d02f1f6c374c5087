import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Manifest, parseManifest } from '../../lib/backupset/manifest.ts';
import { newRunId } from '../../lib/backupset/names.ts';
import { restoreGuide } from '../../lib/backupset/restore-guide.ts';
import { sumsFiles } from '../../lib/backupset/sums.ts';
import type { DestinationRun } from '../../lib/engine/destination-run.ts';
import type { SealedRun } from '../../lib/engine/planning-run.ts';
import { runManifest } from '../../lib/engine/run-manifest.ts';
import { BackupError } from '../../lib/errors.ts';
import { NEEDS_ALL } from '../../lib/plan/needs.ts';
import { readRecipe } from '../../lib/plan/recipe.ts';
import { sampleManifest } from '../support/sample-manifest.ts';

type Json = fc.JsonValue;

/** Replaces the value at a pseudo-random place of a JSON tree. */
function mutate(value: unknown, choice: number, replacement: Json): unknown {
  if (typeof value !== 'object' || value === null || choice % 5 === 0) return replacement;
  const keys = Object.keys(value);
  if (keys.length === 0) return replacement;
  const key = keys[choice % keys.length] ?? '';
  const next = mutate(Reflect.get(value, key), Math.floor(choice / 3), replacement);
  return Array.isArray(value)
    ? value.map((item, at) => (String(at) === key ? next : item))
    : { ...value, [key]: next };
}

describe('manifest', () => {
  it('is read back as it was written', () => {
    const written = sampleManifest();
    assert.deepEqual(parseManifest(JSON.stringify(written), 'm'), written);
  });

  it('law: a damaged manifest or recipe gives a clean error or a valid value, never anything else', () => {
    fc.assert(
      fc.property(fc.nat(), fc.jsonValue({ maxDepth: 3 }), (choice, replacement) => {
        const damaged = mutate(sampleManifest(), choice, replacement);
        assertCleanly(() => parseManifest(JSON.stringify(damaged) ?? '', 'm'));
        assertCleanly(() => readRecipe(mutate(sampleManifest().recipe, choice, replacement)));
      }),
      { numRuns: 2000 },
    );
  });

  it('law: cut or flipped text of a manifest is refused or harmless', () => {
    const text = Buffer.from(JSON.stringify(sampleManifest(), null, 2));
    fc.assert(
      fc.property(
        fc.nat(text.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        (at, mask, cut) => {
          const damaged = Buffer.from(cut ? text.subarray(0, at) : text);
          if (!cut) damaged[at] = (damaged[at] ?? 0) ^ mask;
          assertCleanly(() => parseManifest(damaged.toString('utf8'), 'm'));
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('of a run does not end before it began, though the clock was set back meanwhile', () => {
    const openedAt = new Date('2026-11-22T14:30:00.250Z');
    const run = { id: newRunId(openedAt), job: 'shop', openedAt, needs: NEEDS_ALL } as SealedRun;
    const destination = { artifacts: sampleManifest().artifacts, path: [] } as unknown as DestinationRun;
    const finishedAt = new Date(openedAt.getTime() - 90_000);
    const made = runManifest(run, destination, { host: 'h', finishedAt });
    assert.equal(made.startedAt, openedAt.toISOString());
    assert.equal(made.finishedAt, made.startedAt);
  });

  it('refuses file names that leave the folder, and says so', () => {
    for (const file of ['../up', 'a/b', '/etc/passwd', '.hidden', '', 'a\\b', 'a\0b', 'x'.repeat(256)]) {
      const bad = sampleManifest();
      const [artifact] = bad.artifacts;
      assert.throws(
        () => parseManifest(JSON.stringify({ ...bad, artifacts: [{ ...artifact, file }] }), 'm'),
        { code: 'corrupt' },
        file,
      );
    }
  });

  it('asks for an update when it is from the future', () => {
    assert.throws(() => parseManifest('{"version":2}', 'm'), /version 2.*update/);
  });
});

describe('files of a set', () => {
  const manifest: Manifest = sampleManifest();

  it('has a checksum file for each algorithm and stage', () => {
    const digest = 'ab'.repeat(32);
    assert.deepEqual(Object.fromEntries(sumsFiles(manifest).map(({ name, text }) => [name, text])), {
      SHA256SUMS: `${digest}  o'rders.sqlite.zst.dbk\n`,
      'SHA256SUMS.decoded': `${digest}  o'rders.sqlite\n`,
      'B2SUMS.decoded': `${digest}  o'rders.sqlite\n`,
      SHA512SUMS: `${digest}  o'rders.sqlite.zst.dbk\n`,
    });
  });

  it('has a guide whose commands undo the steps backwards, quoted for the shell', () => {
    const { text } = restoreGuide(manifest);
    const decrypt = text.indexOf(`'o'\\''rders.sqlite.zst.dbk'`);
    const unzip = text.indexOf(`> 'o'\\''rders.sqlite'`);
    assert.ok(decrypt > 0 && unzip > decrypt, text);
    assert.match(text, /1 database\(s\) of this run failed/);
    assert.match(text, /sha256sum -c SHA256SUMS\n/);
  });
});

function assertCleanly(act: () => unknown): void {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof BackupError, String(error));
    assert.ok(['corrupt', 'invalid-config'].includes(error.code), error.code);
  }
}
