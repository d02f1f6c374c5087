import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import type { ByteStream } from '../../lib/bytes/stream.ts';
import { BackupError, type ErrorCode } from '../../lib/errors.ts';
import type { EncryptionKey, KeyRing } from '../../lib/keys/keys.ts';
import { throughBlocks } from '../../lib/transforms/block-reader.ts';
import { freshMaterial, sealDbk } from '../../lib/transforms/dbk/seal.ts';
import { decryptAny } from '../../lib/transforms/decrypt.ts';
import { createEncrypt } from '../../lib/transforms/encrypt.ts';
import { collect, cut, noise, outcomeOf } from '../support/byte-streams.ts';
import { AGE_KEY, AGE_RING, PASSPHRASE_RING, VAULT_KEY, VAULT_RING } from '../support/keys.ts';

const never = new AbortController().signal;
const ALLOWED: ReadonlySet<ErrorCode> = new Set([
  'corrupt',
  'incomplete',
  'wrong-key',
  'missing-key',
  'invalid-config',
]);
/** Opens every kind of file here, so that no damage is excused by a missing key. */
const RING: KeyRing = {
  vaultKey: async () => VAULT_KEY.key,
  passphrases: [],
  ageIdentities: AGE_RING.ageIdentities,
};

/** A way to damage a file, made of a few numbers so that fast-check can shrink it. */
interface Damage {
  readonly how: 'flip' | 'cut' | 'drop' | 'double' | 'swap' | 'splice' | 'garbage' | 'tail';
  readonly at: number;
  readonly span: number;
  readonly seed: number;
}

interface Subject {
  readonly name: string;
  readonly raw: Buffer;
  readonly file: Buffer;
  /** Another file of the same key and kind, to splice from, and its content. */
  readonly other: Buffer;
  readonly otherRaw: Buffer;
  readonly headerBytes: number;
  readonly chunkBytes: number;
}

const damages: fc.Arbitrary<Damage> = fc.record({
  how: fc.constantFrom('flip', 'cut', 'drop', 'double', 'swap', 'splice', 'garbage', 'tail'),
  at: fc.oneof(fc.nat({ max: 0xffffffff }), fc.nat({ max: 300 })),
  span: fc.oneof(fc.nat({ max: 64 }), fc.nat({ max: 70_000 })),
  seed: fc.nat({ max: 1000 }),
});

/** Half of the damages keep to the chunks' borders: that is what a careful forger would do. */
function damaged(
  { file, other, headerBytes, chunkBytes }: Subject,
  damage: Damage,
  aligned: boolean,
): Buffer {
  const snap = (offset: number) =>
    aligned ? headerBytes + Math.floor(Math.max(0, offset - headerBytes) / chunkBytes) * chunkBytes : offset;
  const from = Math.min(file.length, snap(damage.at % (file.length + 1)));
  const to = Math.min(
    file.length,
    aligned ? from + chunkBytes * (1 + (damage.span % 3)) : from + 1 + damage.span,
  );
  const [before, stretch, after] = [file.subarray(0, from), file.subarray(from, to), file.subarray(to)];
  switch (damage.how) {
    case 'flip': {
      const bytes = Buffer.from(file);
      const at = Math.min(from, file.length - 1);
      bytes[at] = (bytes[at] ?? 0) ^ (1 + (damage.seed % 255));
      return bytes;
    }
    case 'cut':
      return before;
    case 'drop':
      return Buffer.concat([before, after]);
    case 'double':
      return Buffer.concat([before, stretch, stretch, after]);
    case 'swap':
      return Buffer.concat([
        before,
        after.subarray(0, stretch.length),
        stretch,
        after.subarray(stretch.length),
      ]);
    case 'splice':
      return Buffer.concat([before, other.subarray(from, to), after]);
    case 'garbage':
      return Buffer.concat([before, noise(stretch.length, damage.seed + 1), after]);
    case 'tail':
      return Buffer.concat([file, noise(1 + damage.span, damage.seed + 1)]);
  }
}

/** Opening fails cleanly, and what was released before is the beginning of one of the true contents. */
async function openingFails(bytes: Buffer | ByteStream, raws: Buffer[], keys = RING): Promise<void> {
  const input = Buffer.isBuffer(bytes) ? cut(bytes, 5000) : bytes;
  const outcome = await outcomeOf(decryptAny(input, { keys, signal: never }));
  if (outcome.ok) assert.fail('the damage went unnoticed');
  assert.ok(outcome.error instanceof BackupError, String(outcome.error));
  assert.ok(ALLOWED.has(outcome.error.code), `${outcome.error.code}: ${outcome.error.message}`);
  const { released } = outcome;
  const isTrue = raws.some((raw) => raw.subarray(0, released.length).equals(released));
  assert.ok(isTrue || released.length === 0, 'false bytes were released');
}

async function sealDbkSmall(raw: Buffer): Promise<Buffer> {
  const slot = { type: 'vault', id: VAULT_KEY.id, version: VAULT_KEY.version } as const;
  const material = { ...freshMaterial(), chunkBits: 12 };
  const owner = { slot, wrappingKey: VAULT_KEY.key };
  return collect(throughBlocks(cut(raw, 3000), never, (reader) => sealDbk(reader, owner, material)));
}

async function seal(raw: Buffer, key: EncryptionKey): Promise<Buffer> {
  const format = key.type === 'age' ? 'age' : 'dbk';
  return collect(createEncrypt(key, { format }).forward(cut(raw, 90_000), never).output);
}

async function subjects(): Promise<Subject[]> {
  const [raw, otherRaw] = [noise(30_000), noise(30_000, 2)];
  const [long, otherLong] = [noise(300_000), noise(300_000, 2)];
  const dbk = await sealDbkSmall(raw);
  const age = await seal(long, AGE_KEY);
  return [
    {
      name: '.dbk',
      raw,
      file: dbk,
      other: await sealDbkSmall(otherRaw),
      otherRaw,
      headerBytes: dbk.readUInt16BE(10),
      chunkBytes: 4096 + 16,
    },
    {
      name: '.age',
      raw: long,
      file: age,
      other: await seal(otherLong, AGE_KEY),
      otherRaw: otherLong,
      headerBytes: age.indexOf('\n', age.indexOf('\n--- ') + 1) + 1 + 16,
      chunkBytes: 65536 + 16,
    },
  ];
}

describe('damaged encrypted files', () => {
  let all: Subject[];

  before(async () => {
    all = await subjects();
  });

  for (const [index, name] of ['.dbk', '.age'].entries()) {
    it(`${name}: no damage passes, and none releases a false byte`, async () => {
      const subject = all[index];
      assert.ok(subject?.name === name);
      await fc.assert(
        fc.asyncProperty(
          fc.array(damages, { minLength: 1, maxLength: 3 }),
          fc.boolean(),
          async (some, aligned) => {
            const bytes = some.reduce(
              (file, damage) => damaged({ ...subject, file }, damage, aligned),
              subject.file,
            );
            // Whoever swaps whole files is found out by the manifest.
            fc.pre(!bytes.equals(subject.file) && !bytes.equals(subject.other));
            await openingFails(bytes, [subject.raw, subject.otherRaw]);
          },
        ),
        { numRuns: 500 },
      );
    });

    it(`${name}: cut at any of the header's bytes and at each chunk's border fails`, async () => {
      const subject = all[index];
      assert.ok(subject);
      const { file, headerBytes, chunkBytes } = subject;
      const cuts = Array.from({ length: headerBytes + 1 }, (_, at) => at);
      for (let at = headerBytes; at < file.length; at += chunkBytes) cuts.push(at - 1, at, at + 1, at + 16);
      for (const at of cuts)
        await openingFails(file.subarray(0, Math.min(at, file.length - 1)), [subject.raw]);
    });

    it(`${name}: each byte of the header counts`, async () => {
      const subject = all[index];
      assert.ok(subject);
      for (let at = 0; at < subject.headerBytes; at += 1) {
        for (const bit of [1, 0x80]) {
          const bytes = Buffer.from(subject.file);
          bytes[at] = (bytes[at] ?? 0) ^ bit;
          await openingFails(bytes, [subject.raw]);
        }
      }
    });
  }

  it('random bytes behind a true beginning give clean errors', async () => {
    const beginnings = all.flatMap(({ file }) => [8, 12, 22, 60, 100].map((kept) => file.subarray(0, kept)));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...beginnings),
        fc.uint8Array({ maxLength: 3000 }),
        async (start, rest) => {
          await openingFails(Buffer.concat([start, rest]), []);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('.dbk: headers with any content and a right digest give clean errors', async () => {
    const [dbk] = all;
    assert.ok(dbk);
    const header = dbk.file.subarray(0, dbk.headerBytes);
    const change = fc.tuple(fc.integer({ min: 9, max: header.length - 33 }), fc.nat({ max: 255 }));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
        const bytes = Buffer.from(dbk.file);
        for (const [at, value] of changes) bytes[at] = value;
        fc.pre(!bytes.equals(dbk.file));
        await openingFails(withDigest(bytes), [dbk.raw]);
      }),
      { numRuns: 500 },
    );
  });

  it('.dbk: a header cannot ask for much memory or time', async () => {
    const header = (slots: Buffer[], chunkBits = 20) => {
      const body = Buffer.concat(slots);
      const bytes = Buffer.concat([noise(52), body, Buffer.alloc(32)]);
      Buffer.from('8944424b0d0a1a0a01', 'hex').copy(bytes);
      bytes.writeUInt8(chunkBits, 9);
      bytes.writeUInt16BE(bytes.length, 10);
      bytes.writeUInt8(slots.length, 51);
      return withDigest(bytes);
    };
    const scryptSlot = (logN: number, r: number, p: number) =>
      Buffer.concat([Buffer.from([2, 0, 79, logN, r, p]), noise(76)]);
    const hostile: Buffer[] = [
      header([scryptSlot(30, 8, 1)]),
      header([scryptSlot(255, 255, 255)]),
      header([scryptSlot(16, 255, 1)]),
      header([scryptSlot(10, 1, 255)]),
      header([scryptSlot(0, 0, 0)]),
      header([scryptSlot(12, 8, 1), scryptSlot(12, 8, 1)]),
      header([scryptSlot(10, 8, 1)], 40),
      header(Array.from({ length: 9 }, () => Buffer.from([9, 0, 0]))),
      header([]),
      header([Buffer.from([1, 0, 0])]),
      header([Buffer.from([1, 255, 255])]),
      header([Buffer.concat([Buffer.from([1, 0, 70, 200]), noise(69)])]),
    ];
    const before = process.resourceUsage().maxRSS;
    for (const bytes of hostile) await openingFails(bytes, [], PASSPHRASE_RING);
    const grownMiB = (process.resourceUsage().maxRSS - before) / 1024;
    assert.ok(grownMiB < 64, `memory grew by ${grownMiB} MiB`);
  });

  it('.age: a header without an end is given up early', async () => {
    let given = 0;
    async function* endless(): AsyncGenerator<Buffer> {
      yield Buffer.from('age-encryption.org/v1\n-> X25519 ');
      for (;;) {
        given += 65536;
        yield Buffer.alloc(65536, 'A');
      }
    }
    await openingFails(endless(), []);
    assert.ok(given < 1024 * 1024, `${given} bytes were read`);
  });

  it('.age: a header with very many stanzas is no more work than its size allows', async () => {
    const stanza = `-> X25519 ${Buffer.alloc(32, 9).toString('base64').replace('=', '')}\n${'A'.repeat(43)}\n`;
    const text = `age-encryption.org/v1\n${stanza.repeat(3000)}--- ${'A'.repeat(43)}\n`;
    await openingFails(Buffer.from(text), []);
  });

  it('a key ring that fails is not mistaken for damage', async () => {
    const failure = new BackupError('permission', 'the vault cannot be read');
    const keys: KeyRing = { ...VAULT_RING, vaultKey: () => Promise.reject(failure) };
    const outcome = await outcomeOf(
      decryptAny(cut(all[0]?.file ?? Buffer.alloc(0), 999), { keys, signal: never }),
    );
    assert.ok(!outcome.ok);
    assert.equal(outcome.error, failure);
  });
});

function withDigest(file: Buffer): Buffer {
  const length = Math.min(file.length, Math.max(84, file.readUInt16BE(10)));
  const content = file.subarray(0, length - 32);
  createHash('sha256')
    .update(content)
    .digest()
    .copy(file, length - 32);
  return file;
}
