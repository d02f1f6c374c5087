import assert from 'node:assert/strict';
import { hkdfSync } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { decodeKeyFile } from '../../lib/keys/key-file.ts';
import { EMPTY_KEY_RING } from '../../lib/keys/keys.ts';
import { deriveFromPassphrase } from '../../lib/keys/scrypt.ts';
import { Vault } from '../../lib/keys/vault.ts';
import { throughBlocks } from '../../lib/transforms/block-reader.ts';
import { parseHeader } from '../../lib/transforms/dbk/header.ts';
import { type DbkOwner, sealDbk } from '../../lib/transforms/dbk/seal.ts';
import { decryptAny } from '../../lib/transforms/decrypt.ts';
import { collect, cut, sha256 } from '../support/byte-streams.ts';

const never = new AbortController().signal;
const hex = z.string().transform((text) => Buffer.from(text, 'hex'));

const dbkVectors = z.object({
  inputs: z.object({
    vaultKey: hex,
    keyId: z.string(),
    keyVersion: z.number(),
    dataKey: hex,
    salt: hex,
    noncePrefix: hex,
    wrapNonce: hex,
    chunkBits: z.number(),
    passphrase: z.string(),
    scryptSalt: hex,
    scrypt: z.object({ logN: z.number(), r: z.number(), p: z.number() }),
  }),
  derived: z.object({
    headerBytes: z.number(),
    headerDigest: hex,
    fileWrappingKey: hex,
    payloadKey: hex,
    passphraseKey: hex,
  }),
  files: z.array(
    z.object({
      key: z.enum(['vault', 'passphrase']),
      content: z.union([z.object({ text: z.string() }), z.object({ pattern: z.number() })]),
      bytes: z.number().optional(),
      sha256: z.string().optional(),
      hex: hex.optional(),
    }),
  ),
});
type DbkVectors = z.infer<typeof dbkVectors>;

/** The JSON block of docs/format.md behind the comment of this name. */
async function vectors(name: string): Promise<unknown> {
  const text = await readFile(new URL('../../docs/format.md', import.meta.url), 'utf8');
  const block = new RegExp(`<!-- vectors: ${name} -->\n\`\`\`json\n([^]*?)\n\`\`\``).exec(text)?.[1];
  assert.ok(block, `docs/format.md has no vectors '${name}'`);
  return JSON.parse(block);
}

function contentOf(content: DbkVectors['files'][number]['content']): Buffer {
  if ('text' in content) return Buffer.from(content.text);
  return Buffer.from(Array.from({ length: content.pattern }, (_, at) => at % 251));
}

async function ownerOf(key: 'vault' | 'passphrase', inputs: DbkVectors['inputs']): Promise<DbkOwner> {
  if (key === 'vault') {
    const slot = { type: 'vault', id: inputs.keyId, version: inputs.keyVersion } as const;
    return { slot, wrappingKey: inputs.vaultKey };
  }
  const { passphrase, scryptSalt, scrypt } = inputs;
  const wrappingKey = await deriveFromPassphrase(passphrase, scryptSalt, scrypt);
  return { slot: { type: 'passphrase', salt: scryptSalt, scrypt }, wrappingKey };
}

describe('test vectors of docs/format.md', () => {
  let dbk: DbkVectors;

  before(async () => {
    dbk = dbkVectors.parse(await vectors('dbk'));
  });

  it('.dbk: the files are written exactly so', async () => {
    assert.ok(dbk.files.length >= 5);
    for (const file of dbk.files) {
      const owner = await ownerOf(file.key, dbk.inputs);
      const input = cut(contentOf(file.content), 1000);
      const stored = await collect(
        throughBlocks(input, never, (reader) => sealDbk(reader, owner, dbk.inputs)),
      );
      assert.ok(file.hex !== undefined || file.sha256 !== undefined);
      if (file.hex !== undefined) assert.equal(stored.toString('hex'), file.hex.toString('hex'));
      if (file.bytes !== undefined) assert.equal(stored.length, file.bytes);
      if (file.sha256 !== undefined) assert.equal(sha256(stored), file.sha256);
    }
  });

  it('.dbk: the files open', async () => {
    const { inputs } = dbk;
    const keys = {
      ...EMPTY_KEY_RING,
      passphrases: [inputs.passphrase],
      vaultKey: async () => inputs.vaultKey,
    };
    for (const file of dbk.files) {
      if (file.hex === undefined) continue;
      const plain = await collect(decryptAny(cut(file.hex, 50), { keys, signal: never }));
      assert.ok(plain.equals(contentOf(file.content)));
    }
  });

  it('.dbk: the derived values are right', async () => {
    const { inputs, derived, files } = dbk;
    const derive = (key: Buffer, purpose: string) =>
      Buffer.from(hkdfSync('sha256', key, inputs.salt, `dbackup-dbk-v1 ${purpose}`, 32)).toString('hex');
    assert.equal(derive(inputs.vaultKey, 'wrap'), derived.fileWrappingKey.toString('hex'));
    assert.equal(derive(inputs.dataKey, 'payload'), derived.payloadKey.toString('hex'));
    assert.deepEqual((await ownerOf('passphrase', inputs)).wrappingKey, derived.passphraseKey);
    const [first] = files;
    assert.ok(first?.hex);
    assert.deepEqual(parseHeader(first.hex).digest, derived.headerDigest);
    assert.equal(first.hex.readUInt16BE(10), derived.headerBytes);
  });

  it('the key file opens', async () => {
    const shape = z.object({
      passphrase: z.string(),
      keys: z.array(z.object({ id: z.string(), name: z.string(), version: z.number(), key: hex })),
      file: z.unknown(),
    });
    const { passphrase, keys, file } = shape.parse(await vectors('key-file'));
    assert.deepEqual(await decodeKeyFile(JSON.stringify(file), 'the vector', passphrase), keys);
  });

  it('the vault opens', async () => {
    const shape = z.object({ masterSecret: z.string(), key: hex, file: z.unknown() });
    const { masterSecret, key, file } = shape.parse(await vectors('vault'));
    const folder = await mkdtemp(join(tmpdir(), 'dbackup-vectors-'));
    try {
      await writeFile(join(folder, 'vault.json'), JSON.stringify(file));
      const vault = await Vault.open(join(folder, 'vault.json'), masterSecret);
      assert.deepEqual((await vault.currentKey('main')).key, key);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
