// Decrypts a .dbk file of DBackup without DBackup. Needs Node.js 18 or newer and nothing else.
// docs/format.md of the package @dbackup/node-red describes the format byte by byte.
import { createDecipheriv, createHash, hkdfSync, scryptSync } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { parseArgs } from 'node:util';

const USAGE = `Usage: node dbackup-decrypt.mjs --key-file dbackup-keys.json FILE.dbk OUTPUT
       node dbackup-decrypt.mjs --passphrase FILE.dbk OUTPUT
The passphrase is asked for, or is the first line of standard input, or is in DBACKUP_PASSPHRASE.`;

function check(condition, message) {
  if (!condition) throw new Error(message);
}

const base64 = (text) => Buffer.from(text, 'base64');

/** AES-256-GCM; undefined when the key or a byte is wrong. */
function openSealed(key, nonce, associated, sealed) {
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });
  decipher.setAAD(associated).setAuthTag(sealed.subarray(-16));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
  } catch {
    return undefined;
  }
}

function derive(key, salt, purpose) {
  return Buffer.from(hkdfSync('sha256', key, salt, `dbackup-dbk-v1 ${purpose}`, 32));
}

async function passphraseKey(salt, logN, r, p) {
  const memory = 128 * 2 ** logN * r;
  check(memory > 128 && memory <= 2 ** 28 && p >= 1 && p <= 4, 'The scrypt parameters are out of bounds');
  const secret = (await askPassphrase()).normalize('NFC');
  return scryptSync(secret, salt, 32, { N: 2 ** logN, r, p, maxmem: memory + 2 ** 21 });
}

async function askPassphrase() {
  if (process.env.DBACKUP_PASSPHRASE) return process.env.DBACKUP_PASSPHRASE;
  const terminal = process.stdin.isTTY === true;
  if (terminal) process.stderr.write('Passphrase (it is not shown): ');
  const output = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output, terminal });
  const answer = await new Promise((resolve) => lines.once('line', resolve).once('close', resolve));
  lines.close();
  if (terminal) process.stderr.write('\n');
  check(answer, 'No passphrase was given');
  return answer;
}

async function readKeyFile(path) {
  const { format, version, keys, protection, sealed } = JSON.parse(readFileSync(path, 'utf8'));
  check(format === 'dbackup-keys' && version === 1, `${path} is no key file that this script reads`);
  if (keys) return keys;
  const { salt, nonce, logN, r, p } = protection;
  const key = await passphraseKey(base64(salt), logN, r, p);
  const list = openSealed(key, base64(nonce), Buffer.from('dbackup-keys-v1'), base64(sealed));
  check(list, `Wrong key: the passphrase does not open ${path}`);
  return JSON.parse(list.toString('utf8'));
}

async function read(file, bytes) {
  const buffer = Buffer.allocUnsafe(bytes);
  let used = 0;
  for (let count = -1; count !== 0 && used < bytes; used += count) {
    count = (await file.read(buffer, used, bytes - used)).bytesRead;
  }
  return buffer.subarray(0, used);
}

async function readHeader(file) {
  const fixed = await read(file, 12);
  check(fixed.length === 12 && fixed.toString('hex', 0, 8) === '8944424b0d0a1a0a', 'This is not a .dbk file');
  const header = Buffer.concat([fixed, await read(file, Math.max(72, fixed.readUInt16BE(10) - 12))]);
  const [content, digest] = [header.subarray(0, -32), header.subarray(-32)];
  const intact = createHash('sha256').update(content).digest().equals(digest);
  check(intact, 'The header of the file is damaged or cut off');
  check(header[8] === 1, `The file has version ${header[8]}; this script reads version 1`);
  check(header[9] >= 12 && header[9] <= 24, 'The chunk size of the file is out of bounds');
  const [salt, prefix, slots] = [header.subarray(12, 44), header.subarray(44, 51), content.subarray(52)];
  return { digest, salt, prefix, slots, chunkBytes: 2 ** header[9] };
}

/** Tries the key slots one after the other: each holds the file's data key under another key. */
async function findDataKey({ slots, salt }, keys) {
  let reason = 'it has no key slot';
  for (let at = 0, next = 0; at + 3 <= slots.length; at = next) {
    next = at + 3 + slots.readUInt16BE(at + 1);
    const slot = slots.subarray(at, next);
    let [key, name] = [undefined, slot[0] === 2 ? 'the passphrase' : 'a newer script'];
    if (slot[0] === 1) {
      const [id, version] = [slot.toString('latin1', 4, 4 + slot[3]), slot.readUInt32BE(4 + slot[3])];
      const entry = keys?.find((candidate) => candidate.id === id && candidate.version === version);
      key = entry && base64(entry.key);
      name = `version ${version} of the key ${id}`;
    } else if (slot[0] === 2 && keys === undefined) {
      key = await passphraseKey(slot.subarray(6, 22), slot[3], slot[4], slot[5]);
    }
    const [owner, nonce, wrapped] = [slot.subarray(0, -60), slot.subarray(-60, -48), slot.subarray(-48)];
    const dataKey = key && openSealed(derive(key, salt, 'wrap'), nonce, owner, wrapped);
    if (dataKey) return dataKey;
    reason = key ? `wrong key, ${name} does not fit` : `missing key, it needs ${name}`;
  }
  throw new Error(`The file does not open: ${reason}`);
}

async function decryptChunks(input, output, { digest, salt, prefix, chunkBytes }, dataKey) {
  const key = derive(dataKey, salt, 'payload');
  const nonce = Buffer.concat([prefix, Buffer.alloc(5)]);
  for (let index = 0; nonce[11] === 0; index += 1) {
    const sealed = await read(input, chunkBytes + 16);
    nonce.writeUInt32BE(index, 7);
    nonce[11] = sealed.length < chunkBytes + 16 ? 1 : 0;
    const plain = sealed.length >= 16 && openSealed(key, nonce, digest, sealed);
    check(plain, `The file is damaged or cut off: chunk ${index} does not authenticate`);
    await output.writeFile(plain);
  }
}

async function main() {
  const options = { 'key-file': { type: 'string' }, passphrase: { type: 'boolean', default: false } };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const [keyFile, [from, to]] = [values['key-file'], positionals];
  check(positionals.length === 2 && (keyFile === undefined) === values.passphrase, USAGE);
  check(!existsSync(to), `${to} exists already`);
  const keys = keyFile && (await readKeyFile(keyFile));
  const input = await open(from);
  const header = await readHeader(input);
  const dataKey = await findDataKey(header, keys);
  const partial = `${to}.partial-${process.pid}`;
  process.once('exit', () => rmSync(partial, { force: true }));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));
  const output = await open(partial, 'wx', 0o600);
  await decryptChunks(input, output, header, dataKey);
  await output.sync();
  await Promise.all([input.close(), output.close()]);
  await rename(partial, to);
}

main().catch((error) => {
  // A JSON parser's message quotes the text, here a key file.
  const message = error instanceof SyntaxError ? 'The key file is damaged' : error.message;
  console.error(`dbackup-decrypt: ${message}`);
  process.exit(1);
});
