import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import type { KeyRing } from '../../lib/keys/keys.ts';
import { verifySet } from '../../lib/restore/verify.ts';
import { createChecksum } from '../../lib/transforms/checksum.ts';
import { createCompress } from '../../lib/transforms/compress.ts';
import { createEncrypt } from '../../lib/transforms/encrypt.ts';
import { filesBelow, ONE_COPY, runEngine, useLocalFolders } from '../support/engine-run.ts';
import { FaultyDestination } from '../support/faulty-destination.ts';
import { ScriptedSource } from '../support/scripted-source.ts';

const MIB = 1024 * 1024;
const signal = new AbortController().signal;

describe('engine: healing from a sibling', () => {
  const folder = useLocalFolders();
  const vaultKey = randomBytes(32);
  const keys: KeyRing = { vaultKey: async () => vaultKey, passphrases: [], ageIdentities: [] };
  const zstd = () => ({ node: 'zstd', transform: createCompress({ algorithm: 'zstd', level: 1 }) });
  const checksum = () => ({ node: 'checksum', transform: createChecksum() });
  const encrypt = () => ({
    node: 'encrypt',
    transform: createEncrypt({ type: 'vault', id: 'k1', version: 1, key: vaultKey }, { format: 'dbk' }),
  });

  async function assertWhole(driver: DestinationDriver): Promise<void> {
    const { sets, unreadable } = await listBackupSets(driver, { prefix: 'sets', signal });
    assert.deepEqual([sets.length, unreadable], [1, []]);
    for (const set of sets) {
      const report = await verifySet({ set, level: 'content', keys, signal });
      assert.ok(report.ok, report.artifacts.map(({ error }) => error?.message).join());
    }
  }

  it('compares files by content: those that were encrypted anew for a sibling are other files', async () => {
    const [plain, early, late] = [await folder(), await folder(), await folder()];
    const losesFirst = new FaultyDestination(early.driver, { file: 'one', kind: 'error', afterBytes: 1 });
    const losesSecond = new FaultyDestination(late.driver, { file: 'two', kind: 'error', afterBytes: 1 });
    const source = new ScriptedSource({ name: 'one', bytes: 2 * MIB }, { name: 'two', bytes: 2 * MIB });
    const steps = [encrypt()];
    const { result } = await runEngine(source, [
      { to: plain.driver, name: 'plain' },
      { to: losesFirst, name: 'early', steps },
      { to: losesSecond, name: 'late', steps },
    ]);
    assert.equal(result.state, 'succeeded', String(result.destinations.map(({ error }) => error?.message)));
    for (const { driver } of [plain, early, late]) await assertWhole(driver);
    const files = await filesBelow(early.root);
    assert.deepEqual(files, await filesBelow(late.root));
    for (const file of files) {
      const [a, b] = await Promise.all([early, late].map(({ root }) => readFile(join(root, file))));
      assert.ok(a !== undefined && b !== undefined && a.equals(b), `${file} differs`);
    }
  });

  it('does not transfer again what lies there already and is the same', async () => {
    const [good, bad] = [await folder(), await folder()];
    let written = 0;
    const faulty = new FaultyDestination(bad.driver, { file: 'two', kind: 'error', afterBytes: 1 });
    const counted: DestinationDriver = {
      ...good.driver,
      describe: () => faulty.describe(),
      write: (path, bytes, options) => {
        if (path.includes('one')) written += 1;
        return faulty.write(path, bytes, options);
      },
      stat: faulty.stat,
      list: faulty.list,
      remove: (path, stop) => faulty.remove(path, stop),
    };
    const source = new ScriptedSource({ name: 'one', bytes: 2 * MIB }, { name: 'two', bytes: 2 * MIB });
    const { result } = await runEngine(source, [
      { to: good.driver, name: 'good', steps: [zstd()] },
      { to: counted, name: 'bad', steps: [zstd()] },
    ]);
    assert.equal(result.state, 'succeeded');
    assert.equal(written, 1);
    await assertWhole(bad.driver);
  });

  it('undoes a compression only where the result can be compared with the dump', async () => {
    const [zipped, plain] = [await folder(), await folder()];
    const faulty = new FaultyDestination(plain.driver, { file: 'one', kind: 'error', afterBytes: 1 });
    const source = new ScriptedSource({ name: 'one', bytes: 2 * MIB });
    const { result } = await runEngine(source, [
      { to: zipped.driver, name: 'zipped', steps: [checksum(), zstd()] },
      { to: faulty, name: 'plain', steps: [checksum()] },
    ]);
    assert.equal(result.state, 'succeeded', String(result.destinations[1]?.error?.message));
    await assertWhole(plain.driver);
    assert.ok((await filesBelow(plain.root)).some((file) => file.endsWith('/one.txt')));
  });

  it('tells both errors when the copy fails too, and leaves nothing', async () => {
    const [good, bad] = [await folder(), await folder()];
    const faulty = new FaultyDestination(
      bad.driver,
      { file: 'one', kind: 'error', afterBytes: 1 },
      { file: 'one', kind: 'commit-error' },
    );
    const source = new ScriptedSource({ name: 'one', bytes: MIB });
    const branches = [
      { to: good.driver, name: 'good' },
      { to: faulty, name: 'bad' },
    ];
    const { result } = await runEngine(source, branches, ONE_COPY);
    assert.equal(result.state, 'partial');
    const { message = '' } = result.destinations[1]?.error ?? {};
    assert.match(message, /The storage went away\. Copying from good failed too: The commit was refused/);
    assert.deepEqual(await filesBelow(bad.root), []);
  });

  it('gives up a sibling that gives nothing, and ends', async () => {
    const [good, bad] = [await folder(), await folder()];
    const mute = new FaultyDestination(good.driver);
    const faulty = new FaultyDestination(bad.driver, { file: 'one', kind: 'error', afterBytes: 1 });
    mute.givesNothing = true;
    const source = new ScriptedSource({ name: 'one', bytes: MIB });
    const { result } = await runEngine(
      source,
      [
        { to: mute, name: 'good' },
        { to: faulty, name: 'bad' },
      ],
      { stallMs: 1000 },
    );
    assert.equal(result.state, 'partial');
    assert.equal(result.destinations[1]?.error?.code, 'stalled');
    assert.deepEqual(await filesBelow(bad.root), []);
    await assertWhole(good.driver);
  });
});
