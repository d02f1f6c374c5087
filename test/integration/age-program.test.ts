import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateAgeIdentity, parseAgeIdentities } from '../../lib/keys/age-identity.ts';
import { EMPTY_KEY_RING, type EncryptionKey } from '../../lib/keys/keys.ts';
import { decrypt } from '../../lib/transforms/decrypt.ts';
import { createEncrypt } from '../../lib/transforms/encrypt.ts';
import type { EncryptRecord } from '../../lib/transforms/records.ts';
import { collect, cut, noise, sha256 } from '../support/byte-streams.ts';
import {
  AGE_IDENTITY,
  AGE_KEY,
  AGE_RECIPIENT,
  AGE_RING,
  PASSPHRASE,
  PASSPHRASE_KEY,
} from '../support/keys.ts';
import { typeAtPrompts } from '../support/terminal.ts';

const never = new AbortController().signal;
const CHUNK = 64 * 1024;
const SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 16 * CHUNK, 5_000_000];
const RECORD: EncryptRecord = { kind: 'encrypt', format: 'age', key: { type: 'passphrase' } };

describe('the age program', () => {
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dbackup-age-'));
    await writeFile(join(folder, 'identity'), `${AGE_IDENTITY}\n`);
  });

  after(async () => {
    await rm(folder, { recursive: true });
  });

  it('reads what we write', async () => {
    for (const bytes of SIZES) {
      const raw = noise(bytes);
      const stored = await seal(AGE_KEY, raw);
      const { status, stdout, stderr } = age(['-d', '-i', join(folder, 'identity')], stored);
      assert.equal(status, 0, stderr.toString());
      assert.equal(sha256(stdout), sha256(raw), `${bytes} bytes`);
    }
  });

  it('writes what we read', async () => {
    for (const bytes of SIZES) {
      const raw = noise(bytes);
      const { status, stdout, stderr } = age(['-e', '-r', AGE_RECIPIENT], raw);
      assert.equal(status, 0, stderr.toString());
      const back = await collect(decrypt(RECORD, cut(stdout, 33_333), { keys: AGE_RING, signal: never }));
      assert.equal(sha256(back), sha256(raw), `${bytes} bytes`);
    }
  });

  it('finds the same cuts and garbage that we find', async () => {
    const stored = await seal(AGE_KEY, noise(3 * CHUNK));
    const header = stored.indexOf('\n', stored.indexOf('\n--- ') + 1) + 1 + 16;
    const damaged = [
      stored.subarray(0, header),
      stored.subarray(0, header + CHUNK + 16),
      stored.subarray(0, -1),
      Buffer.concat([stored, Buffer.from('x')]),
      Buffer.concat([stored, Buffer.alloc(16)]),
    ];
    for (const bytes of damaged) {
      assert.notEqual(age(['-d', '-i', join(folder, 'identity')], bytes).status, 0);
      await assert.rejects(collect(decrypt(RECORD, cut(bytes, 9999), { keys: AGE_RING, signal: never })));
    }
  });

  it('reads a file with a passphrase of ours, and writes one that we read', async () => {
    const raw = noise(200_000);
    const stored = await seal(PASSPHRASE_KEY, raw);
    const ours = join(folder, 'ours.age');
    const theirs = join(folder, 'theirs.age');
    const plain = join(folder, 'plain');
    await writeFile(ours, stored);
    const opened = await typeAtPrompts(['age', '-d', '-o', plain, ours], [PASSPHRASE]);
    assert.equal(opened.code, 0, opened.shown);
    assert.equal(sha256(await readFile(plain)), sha256(raw));
    const made = await typeAtPrompts(['age', '-p', '-o', theirs, plain], [PASSPHRASE, PASSPHRASE]);
    assert.equal(made.code, 0, made.shown);
    const keys = { ...EMPTY_KEY_RING, passphrases: [PASSPHRASE] };
    const back = await collect(decrypt(RECORD, cut(await readFile(theirs), 4096), { keys, signal: never }));
    assert.equal(sha256(back), sha256(raw));
  });

  it('makes identities that we take, and takes ours', async () => {
    const made = spawnSync('age-keygen', { encoding: 'utf8' }).stdout;
    const [identity] = await parseAgeIdentities(made);
    assert.ok(identity);
    const own = await generateAgeIdentity();
    for (const each of [identity, own.identity]) {
      const { stdout } = spawnSync('age-keygen', ['-y'], { input: `${each}\n`, encoding: 'utf8' });
      const recipient = stdout.trim();
      const stored = age(['-e', '-r', recipient], Buffer.from('secret')).stdout;
      const keys = { ...EMPTY_KEY_RING, ageIdentities: [each] };
      assert.equal(
        (await collect(decrypt(RECORD, cut(stored, 50), { keys, signal: never }))).toString(),
        'secret',
      );
    }
  });
});

function seal(key: EncryptionKey, raw: Buffer): Promise<Buffer> {
  return collect(createEncrypt(key, { format: 'age' }).forward(cut(raw, 70_001), never).output);
}

function age(args: string[], input: Buffer): SpawnSyncReturns<Buffer> {
  return spawnSync('age', args, { input, maxBuffer: 64 * 1024 * 1024 });
}
