import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import {
  Decrypter,
  Encrypter,
  generateHybridIdentity,
  generateIdentity,
  identityToRecipient,
} from 'age-encryption';
import { BackupError, type ErrorCode } from '../../lib/errors.ts';
import { generateAgeIdentity, parseAgeIdentities, recipientOf } from '../../lib/keys/age-identity.ts';
import { EMPTY_KEY_RING, type EncryptionKey, type KeyRing } from '../../lib/keys/keys.ts';
import { newPreamble } from '../../lib/transforms/age/header.ts';
import { chunkNonce } from '../../lib/transforms/age/payload.ts';
import { decrypt } from '../../lib/transforms/decrypt.ts';
import { createEncrypt } from '../../lib/transforms/encrypt.ts';
import type { EncryptRecord } from '../../lib/transforms/records.ts';
import { collect, cut, noise } from '../support/byte-streams.ts';
import {
  AGE_IDENTITY,
  AGE_KEY,
  AGE_RECIPIENT,
  AGE_RING,
  PASSPHRASE,
  PASSPHRASE_KEY,
  PASSPHRASE_RING,
} from '../support/keys.ts';

const never = new AbortController().signal;
const CHUNK = 64 * 1024;
const RECORD: EncryptRecord = { kind: 'encrypt', format: 'age', key: { type: 'passphrase' } };

async function seal(raw: Buffer, key: EncryptionKey = AGE_KEY): Promise<Buffer> {
  return collect(createEncrypt(key, { format: 'age' }).forward(cut(raw, 50_000), never).output);
}

function open(stored: Buffer, keys: KeyRing = AGE_RING): Promise<Buffer> {
  return collect(decrypt(RECORD, cut(stored, 60_000), { keys, signal: never }));
}

function failsWith(code: ErrorCode, text: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof BackupError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, text);
    return true;
  };
}

const SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 17];

describe('.age files', () => {
  it('of ours open with the age library', async () => {
    const decrypter = new Decrypter();
    decrypter.addIdentity(AGE_IDENTITY);
    for (const bytes of SIZES) {
      const raw = noise(bytes);
      assert.ok(Buffer.from(await decrypter.decrypt(await seal(raw))).equals(raw), `${bytes} bytes`);
    }
  });

  it('of the age library open with ours', async () => {
    const encrypter = new Encrypter();
    encrypter.addRecipient(AGE_RECIPIENT);
    for (const bytes of SIZES) {
      const raw = noise(bytes);
      assert.ok((await open(Buffer.from(await encrypter.encrypt(raw)))).equals(raw), `${bytes} bytes`);
    }
  });

  it('open for every one of their recipients, post-quantum ones included', async () => {
    const raw = noise(1000);
    const identities = [await generateHybridIdentity(), await generateHybridIdentity()];
    const recipients = await Promise.all(identities.map(identityToRecipient));
    const stored = await seal(raw, { type: 'age', recipients: [...recipients, ...recipients] });
    for (const identity of identities) {
      const ring = { ...EMPTY_KEY_RING, ageIdentities: [await generateIdentity(), identity] };
      assert.ok((await open(stored, ring)).equals(raw));
    }
  });

  it('with a passphrase are read by the age library, and theirs by us', async () => {
    const raw = noise(70_000);
    const decrypter = new Decrypter();
    decrypter.addPassphrase(PASSPHRASE);
    assert.ok(Buffer.from(await decrypter.decrypt(await seal(raw, PASSPHRASE_KEY))).equals(raw));
    const encrypter = new Encrypter();
    encrypter.setPassphrase(PASSPHRASE);
    encrypter.setScryptWorkFactor(10);
    const ring = { ...PASSPHRASE_RING, passphrases: ['not this one', PASSPHRASE] };
    assert.ok((await open(Buffer.from(await encrypter.encrypt(raw)), ring)).equals(raw));
  });

  it('tell a wrong key, a missing key and a damaged file apart', async () => {
    const file = await seal(noise(2 * CHUNK));
    const byPassphrase = await seal(noise(10), PASSPHRASE_KEY);
    const stranger = { ...EMPTY_KEY_RING, ageIdentities: [await generateIdentity()] };
    await assert.rejects(open(file, stranger), failsWith('wrong-key', /other recipients/));
    await assert.rejects(open(file, EMPTY_KEY_RING), failsWith('missing-key', /age identity/));
    await assert.rejects(open(file, PASSPHRASE_RING), failsWith('missing-key', /age identity/));
    await assert.rejects(open(byPassphrase, AGE_RING), failsWith('missing-key', /a passphrase/));
    const other = { ...EMPTY_KEY_RING, passphrases: ['another passphrase'] };
    await assert.rejects(open(byPassphrase, other), failsWith('wrong-key', /passphrases/));
    const damaged = Buffer.from(file);
    const last = damaged.length - 1;
    damaged[last] = (damaged[last] ?? 0) ^ 1;
    await assert.rejects(open(damaged), failsWith('corrupt', /chunk 1/));
    const mac = Buffer.from(file);
    const inMac = mac.indexOf('--- ') + 6;
    mac[inMac] = mac[inMac] === 65 ? 66 : 65;
    await assert.rejects(open(mac), failsWith('corrupt', /header/));
    await assert.rejects(open(file.subarray(0, 60)), failsWith('incomplete', /header/));
  });

  it('with an empty last chunk behind a full one are refused', async () => {
    // Otherwise two different files would have the same content.
    const { bytes, streamKey } = await newPreamble([AGE_RECIPIENT]);
    const sealChunk = (raw: Buffer, index: number, final: boolean) => {
      const nonce = chunkNonce(index, final);
      const cipher = createCipheriv('chacha20-poly1305', streamKey, nonce, { authTagLength: 16 });
      return Buffer.concat([cipher.update(raw), cipher.final(), cipher.getAuthTag()]);
    };
    const raw = noise(CHUNK);
    const canonical = Buffer.concat([bytes, sealChunk(raw, 0, true)]);
    assert.ok((await open(canonical)).equals(raw));
    const other = [bytes, sealChunk(raw, 0, false), sealChunk(Buffer.alloc(0), 1, true)];
    await assert.rejects(open(Buffer.concat(other)), failsWith('corrupt', /chunk, 1, is empty/));
  });

  it('that ask for too much work are refused at once', async () => {
    const stored = await seal(noise(10), PASSPHRASE_KEY);
    for (const [factor, code] of [
      ['19', 'invalid-config'],
      ['64', 'invalid-config'],
      ['999', 'corrupt'],
      ['017', 'corrupt'],
      ['-1', 'corrupt'],
    ] as const) {
      const text = stored.toString('latin1').replace(/(-> scrypt \S+) 17\n/, `$1 ${factor}\n`);
      const hostile = Buffer.from(text, 'latin1');
      assert.notDeepEqual(hostile, stored);
      await assert.rejects(open(hostile, PASSPHRASE_RING), failsWith(code, /work factor|stanza|header/));
    }
  });

  it('refuse recipients that nothing can be encrypted for', () => {
    const refuse = (recipients: string[], text: RegExp) =>
      assert.throws(
        () => createEncrypt({ type: 'age', recipients }, { format: 'age' }),
        failsWith('invalid-config', text),
      );
    refuse([], /No age recipient/);
    refuse(['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI test@host'], /SSH keys/);
    refuse([`${AGE_RECIPIENT.slice(0, -1)}x`], /malformed/);
    refuse([AGE_RECIPIENT, 'somebody'], /age1/);
    refuse(['age1yubikey1qqq'], /malformed/);
  });

  it('take recipients with blanks around them, once each', () => {
    const recipients = [` ${AGE_RECIPIENT}\n`, AGE_RECIPIENT];
    const transform = createEncrypt({ type: 'age', recipients }, { format: 'age' });
    const record = transform.forward(cut(noise(1), 1), never).record();
    assert.deepEqual(record, {
      kind: 'encrypt',
      format: 'age',
      key: { type: 'age', recipients: [AGE_RECIPIENT] },
    });
  });

  it('never show an identity in an error', async () => {
    const broken = `${AGE_IDENTITY.slice(0, -1)}Q`;
    const attempts: (() => unknown)[] = [
      () => createEncrypt({ type: 'age', recipients: [AGE_IDENTITY] }, { format: 'age' }),
      () => recipientOf(broken),
      () => parseAgeIdentities(`${AGE_IDENTITY}\n${broken}`),
      async () => open(await seal(noise(1)), { ...EMPTY_KEY_RING, ageIdentities: [broken] }),
    ];
    for (const attempt of attempts) {
      const error: unknown = await (async () => attempt())().catch((reason: unknown) => reason);
      assert.ok(error instanceof BackupError, String(attempt));
      assert.equal(error.code, 'invalid-config');
      const shown = `${error.stack}${JSON.stringify(error)}${String(error.cause)}`;
      assert.ok(!shown.includes(AGE_IDENTITY.slice(20, 50)), shown);
    }
  });
});

describe('age identities', () => {
  it('are made in pairs', async () => {
    const { identity, recipient } = await generateAgeIdentity();
    assert.match(identity, /^AGE-SECRET-KEY-1/);
    assert.equal(await recipientOf(identity), recipient);
  });

  it('are read from an identity file', async () => {
    const text = `# created: today\r\n# public key: ${AGE_RECIPIENT}\r\n\r\n  ${AGE_IDENTITY} \r\n`;
    assert.deepEqual(await parseAgeIdentities(text), [AGE_IDENTITY]);
    await assert.rejects(parseAgeIdentities('# nothing\n'), failsWith('invalid-config', /no age identity/));
    await assert.rejects(parseAgeIdentities(AGE_RECIPIENT), failsWith('invalid-config', /malformed/));
  });
});
