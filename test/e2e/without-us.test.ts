import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspectSampleDatabase } from '../../demo/sample-database.ts';
import { generateAgeIdentity } from '../../lib/keys/age-identity.ts';
import { type FlowParts, RunnerWorkspace } from '../support/runner-flows.ts';
import { dbackup } from '../support/runner-process.ts';

/** The tools that a restore guide may ask for, and nothing of ours. */
const TOOLS = ['sh', 'sha256sum', 'zstd', 'gunzip', 'age', 'node', 'sqlite3'];

/*
 * A stranger with the backup, the recovery kit and standard tools, on a host without this product: the set's
 * own RESTORE.md is followed to the letter, block by block.
 */
describe('a set without us', function () {
  this.timeout(240_000);
  let work: RunnerWorkspace;
  let host: string;

  beforeEach(() => {
    work = new RunnerWorkspace();
    host = join(work.root, 'other-host');
    mkdirSync(host);
  });

  afterEach(() => work.remove());

  /** Backs up, then takes the set and a recovery kit to the other host. */
  async function carryAway(parts: FlowParts, kitArgs: readonly string[] = []): Promise<string> {
    const ran = await dbackup(['run', work.flow(parts)], { env: work.env() });
    assert.equal(ran.code, 0, ran.stderr);
    const kit = join(work.root, 'kit');
    const made = await dbackup(['kit', kit, '--plain', ...kitArgs], { env: work.env() });
    assert.equal(made.code, 0, made.stderr);
    const [set] = readdirSync(join(work.first, 'shop'));
    const folder = join(host, 'set');
    cpSync(join(work.first, 'shop', set ?? ''), folder, { recursive: true });
    for (const name of readdirSync(kit)) cpSync(join(kit, name), join(folder, name), { force: false });
    return folder;
  }

  async function assertRestores(folder: string, input = ''): Promise<void> {
    const blocks = shellBlocks(readFileSync(join(folder, 'RESTORE.md'), 'utf8'));
    assert.ok(blocks.length >= 2, 'the guide has commands');
    for (const block of blocks) runBlock(block, folder, input);
    assert.deepEqual(inspectSampleDatabase(restoredFile(folder)), inspectSampleDatabase(work.database));
  }

  it('gives back a database that was encrypted with a vault key', async () => {
    await assertRestores(await carryAway({}));
  });

  it('gives back a database that was encrypted with a passphrase', async () => {
    work.write('flow_cred.json', { key: { passphrase: 'correct horse battery' } });
    await assertRestores(await carryAway({ key: { kind: 'passphrase' } }), 'correct horse battery\n');
  });

  it('gives back a database that was encrypted for an age recipient', async () => {
    const { identity, recipient } = await generateAgeIdentity();
    const file = work.write('identity.txt', `${identity}\n`);
    const parts: FlowParts = { key: { kind: 'age', recipients: [recipient] }, format: 'age' };
    await assertRestores(await carryAway(parts, ['--identity', file]));
  });

  it('gives back a database that was only compressed', async () => {
    await assertRestores(await carryAway({ key: null }));
  });

  it('stops at the first step when a byte of the backup has changed', async () => {
    const folder = await carryAway({});
    const [file] = readdirSync(folder).filter((name) => name.endsWith('.dbk'));
    const path = join(folder, file ?? '');
    const bytes = readFileSync(path);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    const blocks = shellBlocks(readFileSync(join(folder, 'RESTORE.md'), 'utf8'));
    assert.throws(() => runBlock(blocks[0] ?? '', folder, ''), /FAILED/);
    // Whoever goes on all the same gets no plaintext from the decryptor.
    assert.throws(() => runBlock(blocks[1] ?? '', folder, ''));
    assert.deepEqual(
      readdirSync(folder).filter((name) => /\.(sqlite|zst)$/.test(name)),
      [],
    );
  });

  /** Runs one block as a person pastes it: from the set's folder, with an empty home and only the tools. */
  function runBlock(block: string, folder: string, input: string): void {
    const bin = join(host, 'bin');
    rmSync(bin, { recursive: true, force: true });
    mkdirSync(bin);
    for (const tool of TOOLS) symlinkSync(pathOf(tool), join(bin, tool));
    const { status, stdout, stderr } = spawnSync(join(bin, 'sh'), ['-e', '-c', block], {
      cwd: folder,
      env: { PATH: bin, HOME: host },
      input,
      encoding: 'utf8',
    });
    assert.equal(status, 0, `${block}\n${stdout}${stderr}`);
  }
});

/** The commands in a guide: its fenced `sh` blocks. */
function shellBlocks(markdown: string): string[] {
  return [...markdown.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? '');
}

function restoredFile(folder: string): string {
  const [file, ...others] = readdirSync(folder).filter((name) => name.endsWith('.sqlite'));
  assert.ok(file !== undefined && others.length === 0, 'one restored file');
  return join(folder, file);
}

function pathOf(tool: string): string {
  if (tool === 'node') return process.execPath;
  return execFileSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).trim();
}
