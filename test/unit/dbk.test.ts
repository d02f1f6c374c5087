import assert from 'node:assert/strict';
import { createDecipheriv, createHash } from 'node:crypto';
import type { ByteStream } from '../../lib/bytes/stream.ts';
import { BackupError, type ErrorCode } from '../../lib/errors.ts';
import { EMPTY_KEY_RING, type EncryptionKey, type KeyRing } from '../../lib/keys/keys.ts';
import { BlockReader, throughBlocks } from '../../lib/transforms/block-reader.ts';
import { encodeHeader, parseHeader } from '../../lib/transforms/dbk/header.ts';
import { chunkNonce, MAX_CHUNKS, payloadKey } from '../../lib/transforms/dbk/payload.ts';
import { freshMaterial, sealDbk } from '../../lib/transforms/dbk/seal.ts';
import { type KeySlot, openSlot, type RawSlot, sealSlot } from '../../lib/transforms/dbk/slots.ts';
import { decrypt, decryptAny, encryptUndoCommand } from '../../lib/transforms/decrypt.ts';
import { createEncrypt } from '../../lib/transforms/encrypt.ts';
import { type EncryptRecord, encryptRecord } from '../../lib/transforms/records.ts';
import { collect, cut, noise } from '../support/byte-streams.ts';
import {
  AGE_KEY,
  PASSPHRASE,
  PASSPHRASE_KEY,
  PASSPHRASE_RING,
  VAULT_KEY,
  VAULT_RING,
} from '../support/keys.ts';

const never = new AbortController().signal;
const RECORD: EncryptRecord = { kind: 'encrypt', format: 'dbk', key: { type: 'passphrase' } };
const TAG = 16;

async function seal(raw: Buffer, key: EncryptionKey = VAULT_KEY): Promise<Buffer> {
  return collect(createEncrypt(key, { format: 'dbk' }).forward(cut(raw, 70_000), never).output);
}

/** A file with chunks of 4 KiB, so that small content has many. */
async function sealSmall(raw: Buffer): Promise<Buffer> {
  const owner = {
    slot: { type: 'vault', id: VAULT_KEY.id, version: VAULT_KEY.version },
    wrappingKey: VAULT_KEY.key,
  } as const;
  const material = { ...freshMaterial(), chunkBits: 12 };
  return collect(throughBlocks(cut(raw, 1000), never, (reader) => sealDbk(reader, owner, material)));
}

function open(stored: Buffer | ByteStream, keys: KeyRing = VAULT_RING): Promise<Buffer> {
  const input = Buffer.isBuffer(stored) ? cut(stored, 60_000) : stored;
  return collect(decrypt(RECORD, input, { keys, signal: never }));
}

function failsWith(code: ErrorCode, text: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof BackupError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, text);
    return true;
  };
}

function headerOf(file: Buffer): Buffer {
  return file.subarray(0, file.readUInt16BE(10));
}

/** The file with another header, whose digest fits. */
function withHeader(file: Buffer, change: (header: Buffer) => void): Buffer {
  const bytes = Buffer.from(file);
  const header = headerOf(bytes);
  change(header);
  createHash('sha256')
    .update(header.subarray(0, -32))
    .digest()
    .copy(header, header.length - 32);
  return bytes;
}

describe('.dbk files', () => {
  const raw = noise(10_000);
  let file: Buffer;
  let small: Buffer;

  before(async () => {
    file = await seal(raw);
    small = await sealSmall(raw);
  });

  it('have their own salt, data key and nonces each time', async () => {
    const other = await seal(raw);
    assert.notDeepEqual(headerOf(file).subarray(12, 51), headerOf(other).subarray(12, 51));
    assert.notDeepEqual(file.subarray(headerOf(file).length), other.subarray(headerOf(other).length));
  });

  it('have the size that the format says, the empty final chunk included', async () => {
    const header = headerOf(small).length;
    for (const [bytes, chunks] of [
      [0, 1],
      [1, 1],
      [4095, 1],
      [4096, 2],
      [8192, 3],
      [10_000, 3],
    ] as const) {
      assert.equal((await sealSmall(noise(bytes))).length, header + bytes + chunks * TAG);
    }
  });

  it('let any chunk be fetched and opened alone', () => {
    const header = parseHeader(headerOf(small));
    const [slot] = header.keySlots;
    const dataKey = slot && openSlot(slot, VAULT_KEY.key, header.salt);
    assert.ok(dataKey);
    const key = payloadKey(dataKey, header.salt);
    for (const index of [2, 0, 1]) {
      const at = headerOf(small).length + index * (4096 + TAG);
      const sealed = small.subarray(at, at + 4096 + TAG);
      const nonce = chunkNonce(header.noncePrefix, index, index === 2);
      const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG });
      decipher.setAAD(header.digest);
      decipher.setAuthTag(sealed.subarray(-TAG));
      const plain = Buffer.concat([decipher.update(sealed.subarray(0, -TAG)), decipher.final()]);
      assert.ok(plain.equals(raw.subarray(4096 * index, 4096 * index + 4096)));
    }
  });

  it('refuse more chunks than their counter can tell apart', () => {
    const prefix = Buffer.alloc(7, 9);
    assert.equal(chunkNonce(prefix, MAX_CHUNKS - 1, true).toString('hex'), '09090909090909ffffffff01');
    assert.throws(() => chunkNonce(prefix, MAX_CHUNKS, false), failsWith('invalid-config', /too large/));
  });

  it('open with the passphrase, typed in any Unicode form', async () => {
    const key = { type: 'passphrase', passphrase: 'Schl\u00fcssel f\u00fcr alles' } as const;
    const stored = await seal(raw, key);
    const decomposed = key.passphrase.normalize('NFD');
    assert.notEqual(decomposed, key.passphrase);
    const ring = { ...EMPTY_KEY_RING, passphrases: ['not this one', decomposed] };
    assert.ok((await open(stored, ring)).equals(raw));
  });

  it('derive the passphrase key once for all files of a transform, and never share a file key', async () => {
    const transform = createEncrypt(PASSPHRASE_KEY, { format: 'dbk' });
    const files = await Promise.all(
      [1, 2, 3].map(() => collect(transform.forward(cut(raw, 5000), never).output)),
    );
    const salts = files.map((stored) => parseHeader(headerOf(stored)));
    const scryptSalts = salts.map(({ keySlots: [slot] }) => slot?.type === 'passphrase' && slot.salt);
    assert.deepEqual(scryptSalts[0], scryptSalts[1]);
    assert.notDeepEqual(salts[0]?.salt, salts[1]?.salt);
    for (const stored of files) assert.ok((await open(stored, PASSPHRASE_RING)).equals(raw));
  });

  it('tell a wrong key, a missing key and a damaged file apart', async () => {
    const wrongKey = { ...EMPTY_KEY_RING, vaultKey: async () => Buffer.alloc(32, 1) };
    const byPassphrase = await seal(raw, PASSPHRASE_KEY);
    const wrongPassphrase = { ...EMPTY_KEY_RING, passphrases: ['another passphrase'] };
    const named = /vault key vk-0123456789abcdef version 2/;
    await assert.rejects(open(file, wrongKey), failsWith('wrong-key', named));
    await assert.rejects(open(file, EMPTY_KEY_RING), failsWith('missing-key', named));
    await assert.rejects(open(file, PASSPHRASE_RING), failsWith('missing-key', named));
    await assert.rejects(open(byPassphrase, wrongPassphrase), failsWith('wrong-key', /passphrases/));
    await assert.rejects(open(byPassphrase, VAULT_RING), failsWith('missing-key', /a passphrase/));
    const damaged = Buffer.from(file);
    damaged[5000] = (damaged[5000] ?? 0) ^ 1;
    await assert.rejects(open(damaged), failsWith('corrupt', /chunk 0/));
    await assert.rejects(open(file.subarray(0, 40)), failsWith('incomplete', /header/));
    await assert.rejects(open(small.subarray(0, -1)), failsWith('corrupt', /cut off/));
    const atBorder = headerOf(small).length + 2 * (4096 + TAG);
    await assert.rejects(open(small.subarray(0, atBorder)), failsWith('incomplete', /chunk 2/));
  });

  it('never show a passphrase or key in an error', async () => {
    const secret = 'a secret that must not leak';
    const ring = { ...EMPTY_KEY_RING, passphrases: [secret], vaultKey: async () => Buffer.from(secret) };
    for (const stored of [file, await seal(raw, PASSPHRASE_KEY)]) {
      const error: unknown = await open(stored, ring).catch((reason: unknown) => reason);
      assert.ok(error instanceof BackupError);
      assert.ok(!`${error.stack}${JSON.stringify(error)}${String(error.cause)}`.includes(secret));
    }
  });

  it('are bound to their header as a whole', async () => {
    const changes: [string, (header: Buffer) => void][] = [
      ['the nonce prefix', (header) => header.writeUInt8(header.readUInt8(44) ^ 1, 44)],
      ['the key id', (header) => header.write('vk-fedcba9876543210', 56, 'latin1')],
      [
        'the wrapped key',
        (header) => header.writeUInt8(header.readUInt8(header.length - 40) ^ 1, header.length - 40),
      ],
      ['the file salt', (header) => header.writeUInt8(header.readUInt8(20) ^ 1, 20)],
      ['the chunk size', (header) => header.writeUInt8(13, 9)],
    ];
    const anyKey = { ...EMPTY_KEY_RING, vaultKey: async () => VAULT_KEY.key };
    for (const [what, change] of changes) {
      const outcome = await open(withHeader(small, change), anyKey).catch((error: unknown) => error);
      assert.ok(outcome instanceof BackupError, `${what} was changed unnoticed`);
      assert.match(outcome.code, /^(corrupt|wrong-key)$/, what);
    }
  });

  it('of a newer version say so', async () => {
    const newer = withHeader(file, (header) => header.writeUInt8(2, 8));
    await assert.rejects(open(newer), failsWith('invalid-config', /version 2/));
  });

  it('may have key slots of types that are not known yet, and several of known ones', async () => {
    const material = freshMaterial();
    const slots: RawSlot[] = [
      { bytes: Buffer.from([200, 0, 2, 1, 2]) },
      sealSlot(
        { type: 'vault', id: 'other', version: 1 },
        Buffer.alloc(32),
        material.salt,
        material.wrapNonce,
        material.dataKey,
      ),
      sealSlot(
        { type: 'vault', id: VAULT_KEY.id, version: 2 },
        VAULT_KEY.key,
        material.salt,
        material.wrapNonce,
        material.dataKey,
      ),
    ];
    const header = parseHeader(encodeHeader({ ...material, slots }));
    assert.equal(header.slots.length, 3);
    assert.deepEqual(
      header.keySlots.map((slot: KeySlot) => slot.type === 'vault' && slot.id),
      ['other', VAULT_KEY.id],
    );
    const opened = header.keySlots.map((slot: KeySlot) => openSlot(slot, VAULT_KEY.key, header.salt));
    assert.equal(opened[0], undefined);
    assert.deepEqual(opened[1], material.dataKey);
  });

  it('with only unknown key slots ask for an update', async () => {
    const { noncePrefix, salt, chunkBits } = freshMaterial();
    const header = encodeHeader({ noncePrefix, salt, chunkBits, slots: [{ bytes: Buffer.from([9, 0, 0]) }] });
    await assert.rejects(open(header), failsWith('missing-key', /newer/));
  });

  it('end the producer and never start it when the key is not there', async () => {
    let ended = false;
    async function* input(): AsyncGenerator<Buffer> {
      try {
        yield* cut(file, 100);
      } finally {
        ended = true;
      }
    }
    await assert.rejects(open(input(), EMPTY_KEY_RING), failsWith('missing-key', /vault key/));
    assert.ok(ended);
  });

  it('are recognised by their first bytes', async () => {
    const context = { keys: VAULT_RING, signal: never };
    assert.ok((await collect(decryptAny(cut(file, 3), context))).equals(raw));
    const armored = Buffer.from('-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n');
    await assert.rejects(
      collect(decryptAny(cut(armored, 9), context)),
      failsWith('invalid-config', /age -d/),
    );
    for (const foreign of [Buffer.alloc(0), Buffer.from('x'), Buffer.from('SQLite format 3\0'), noise(99)]) {
      await assert.rejects(collect(decryptAny(cut(foreign, 9), context)), failsWith('corrupt', /neither/));
    }
  });
});

describe('the encrypt transform', () => {
  it('refuses keys that its format cannot carry', () => {
    assert.throws(() => createEncrypt(AGE_KEY, { format: 'dbk' }), failsWith('invalid-config', /format age/));
    assert.throws(
      () => createEncrypt(VAULT_KEY, { format: 'age' }),
      failsWith('invalid-config', /format dbk/),
    );
  });

  it('refuses weak passphrases and malformed vault keys', () => {
    for (const format of ['dbk', 'age'] as const) {
      for (const passphrase of ['', 'short', 'eleven char']) {
        const key = { type: 'passphrase', passphrase } as const;
        assert.throws(
          () => createEncrypt(key, { format }),
          failsWith('invalid-config', /empty|12 characters/),
        );
      }
    }
    const short = { ...VAULT_KEY, key: Buffer.alloc(16) };
    assert.throws(() => createEncrypt(short, { format: 'dbk' }), failsWith('invalid-config', /16 bytes/));
  });

  it('records how the key is found, and nothing secret', async () => {
    const record = createEncrypt(VAULT_KEY, { format: 'dbk' })
      .forward(cut(noise(1), 1), never)
      .record();
    assert.deepEqual(record, {
      kind: 'encrypt',
      format: 'dbk',
      key: { type: 'vault', id: VAULT_KEY.id, version: VAULT_KEY.version },
    });
    const other = createEncrypt(PASSPHRASE_KEY, { format: 'age' })
      .forward(cut(noise(1), 1), never)
      .record();
    assert.deepEqual(encryptRecord.parse(other).key, { type: 'passphrase' });
    assert.ok(!JSON.stringify(other).includes(PASSPHRASE));
  });

  it('tells how a person opens the file, and what must be at hand', () => {
    const keys: EncryptRecord['key'][] = [
      { type: 'vault', id: 'vk-1', version: 3 },
      { type: 'passphrase' },
      { type: 'age', recipients: ['age1qqq'] },
    ];
    const commands = keys.map((key) => {
      const format = key.type === 'age' ? 'age' : 'dbk';
      const undo = encryptUndoCommand({ kind: 'encrypt', format, key });
      return [undo.tool, undo.command("'a b.dbk'", "'a b'"), undo.advice];
    });
    assert.deepEqual(
      commands.map(([tool, command]) => [tool, command]),
      [
        ['node', "node dbackup-decrypt.mjs --key-file dbackup-keys.json 'a b.dbk' 'a b'"],
        ['node', "node dbackup-decrypt.mjs --passphrase 'a b.dbk' 'a b'"],
        ['age', "age -d -i age-identities.txt 'a b.dbk' > 'a b'"],
      ],
    );
    assert.match(String(commands[0]?.[2]), /version 3 of the key `vk-1`/);
    assert.match(String(commands[2]?.[2]), /age1qqq/);
  });

  it('leaves the reader of an aborted pass to its producer', async () => {
    const controller = new AbortController();
    controller.abort(new BackupError('aborted', 'stop'));
    const reader = new BlockReader(cut(noise(10), 1), controller.signal);
    await assert.rejects(reader.read(1), failsWith('aborted', /stop/));
    await reader.close();
  });
});
