import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Vault } from '../../lib/keys/vault.ts';

const SCRIPT = fileURLToPath(new URL('../support/vault-process.ts', import.meta.url));
const SECRET = 'a master secret for several processes';

describe('vault shared by processes', () => {
  let folder: string;
  let file: string;
  const children: ChildProcess[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dbackup-vaults-'));
    file = join(folder, 'vault.json');
  });

  afterEach(async () => {
    for (const child of children.splice(0)) await kill(child);
    await rm(folder, { recursive: true });
  });

  function start(...args: string[]): ChildProcess {
    const child = spawn(process.execPath, [SCRIPT, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    return child;
  }

  it('keeps every key of processes that make it and add keys at once', async () => {
    const writers = ['a', 'b', 'c'].map((prefix) => start('add', file, SECRET, prefix, '8'));
    const codes = await Promise.all(writers.map(async (writer) => (await once(writer, 'close'))[0]));
    assert.deepEqual(codes, [0, 0, 0]);
    const vault = await Vault.open(file, SECRET);
    const names = (await vault.listKeys()).map(({ name }) => name);
    const expected = ['a', 'b', 'c'].flatMap((prefix) =>
      [0, 1, 2, 3, 4, 5, 6, 7].map((at) => `${prefix} ${at}`),
    );
    assert.deepEqual(names.sort(), expected.sort());
    for (const name of names) assert.equal((await vault.currentKey(name)).key.length, 32);
  });

  it('is free again as soon as the process that held its lock is killed', async () => {
    const vault = await Vault.create(file, SECRET);
    const holder = start('hold', `${file}.lock`);
    assert.ok(holder.stdout);
    await once(holder.stdout, 'data');
    const adding = vault.createKey('waited');
    const waiting = await Promise.race([
      adding,
      new Promise((resolve) => setTimeout(resolve, 150, 'waiting')),
    ]);
    assert.equal(waiting, 'waiting');
    await kill(holder);
    const key = await adding;
    assert.deepEqual(await vault.currentKey('waited'), key);
  });

  it('is whole, whenever the process that changes it is killed', async () => {
    const vault = await Vault.create(file, SECRET);
    for (let round = 0; round < 4; round += 1) {
      const writer = start('add', file, SECRET, `round ${round}`, '100000');
      const before = (await vault.listKeys()).length;
      while ((await vault.listKeys()).length < before + 3 + 2 * round)
        await new Promise((resolve) => setTimeout(resolve, 3));
      await kill(writer);
      const keys = await vault.listKeys();
      assert.ok(keys.length > before);
      for (const { id } of keys) assert.ok(await vault.key(id, 1));
    }
    await vault.createKey('last');
    assert.deepEqual((await readdir(folder)).sort(), ['vault.json', 'vault.json.lock']);
  });
});

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'close');
}
