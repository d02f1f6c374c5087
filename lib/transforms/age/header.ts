import { hkdfSync, randomBytes } from 'node:crypto';
import { Encrypter, type Identity, type Recipient, type Stanza } from 'age-encryption';
import { BackupError } from '../../errors.ts';
import type { BlockReader } from '../block-reader.ts';

/** First line of an age v1 file: https://age-encryption.org/v1 */
export const AGE_MAGIC = Buffer.from('age-encryption.org/v1\n');

const FILE_KEY_BYTES = 16;
const PAYLOAD_NONCE_BYTES = 16;
/** Longer headers (more than some 150 post-quantum recipients) are refused, when written and when read. */
const MAX_HEADER_BYTES = 256 * 1024;
const MAC_LINE = Buffer.from('\n--- ');
const SEARCH_BYTES = 4096;

/** What stands before the chunks of a new file, and the key that encrypts them. */
export interface AgePreamble {
  /** Header and payload nonce. */
  readonly bytes: Buffer;
  readonly streamKey: Buffer;
}

/**
 * Writes a header for these recipients with a fresh file key. The library encrypts an empty file, whose
 * header is taken; a recipient of our own that adds no stanza learns the file key.
 */
export async function newPreamble(recipients: readonly (string | Recipient)[]): Promise<AgePreamble> {
  const listener = new FileKeyListener();
  const empty = await encryptNothing([...recipients, listener]);
  const header = empty.subarray(0, endOfHeader(empty) ?? 0);
  if (header.length === 0 || listener.fileKey === undefined) {
    throw new BackupError('internal', 'The age library wrote a header that is not understood');
  }
  if (header.length > MAX_HEADER_BYTES) {
    throw new BackupError('invalid-config', 'Too many age recipients: their header exceeds 256 KiB');
  }
  const nonce = randomBytes(PAYLOAD_NONCE_BYTES);
  return { bytes: Buffer.concat([header, nonce]), streamKey: deriveStreamKey(listener.fileKey, nonce) };
}

async function encryptNothing(recipients: readonly (string | Recipient)[]): Promise<Buffer> {
  const encrypter = new Encrypter();
  try {
    for (const recipient of recipients) encrypter.addRecipient(recipient);
    return Buffer.from(await encrypter.encrypt(new Uint8Array(0)));
  } catch (cause) {
    if (cause instanceof BackupError) throw cause;
    throw new BackupError('invalid-config', 'The age recipients cannot be encrypted for', { cause });
  }
}

/**
 * Reads the header up to the end of its MAC line.
 * @throws BackupError `incomplete` when the file ends before, `corrupt` when this is no age header
 */
export async function readHeader(reader: BlockReader): Promise<Buffer> {
  let bytes = await reader.readBuffer(AGE_MAGIC.length);
  if (!bytes.equals(AGE_MAGIC.subarray(0, bytes.length))) {
    throw new BackupError('corrupt', 'This is not an age v1 file, or its first bytes are damaged');
  }
  for (;;) {
    const end = endOfHeader(bytes);
    if (end !== undefined) {
      reader.unread(bytes.subarray(end));
      return bytes.subarray(0, end);
    }
    if (bytes.length > MAX_HEADER_BYTES) {
      throw new BackupError('corrupt', 'The header of the age file is damaged: it has no end within 256 KiB');
    }
    const more = await reader.readBuffer(SEARCH_BYTES);
    if (more.length === 0) throw new BackupError('incomplete', 'The age file is cut off within its header');
    bytes = Buffer.concat([bytes, more]);
  }
}

/** Reads the payload nonce and derives the key of the chunks. @throws BackupError `incomplete` */
export async function readStreamKey(reader: BlockReader, fileKey: Buffer): Promise<Buffer> {
  const nonce = await reader.readBuffer(PAYLOAD_NONCE_BYTES);
  if (nonce.length < PAYLOAD_NONCE_BYTES) {
    throw new BackupError('incomplete', 'The age file is cut off behind its header');
  }
  return deriveStreamKey(fileKey, nonce);
}

function deriveStreamKey(fileKey: Buffer, nonce: Buffer): Buffer {
  return Buffer.from(hkdfSync('sha256', fileKey, nonce, 'payload', 32));
}

/** Where the header ends: behind the line that starts with `--- `. */
function endOfHeader(bytes: Buffer): number | undefined {
  const macLine = bytes.indexOf(MAC_LINE);
  if (macLine < 0) return undefined;
  const newline = bytes.indexOf('\n', macLine + MAC_LINE.length);
  return newline < 0 ? undefined : newline + 1;
}

class FileKeyListener implements Recipient {
  fileKey: Buffer | undefined;

  wrapFileKey(fileKey: Uint8Array): Stanza[] {
    if (fileKey.length === FILE_KEY_BYTES) this.fileKey = Buffer.from(fileKey);
    return [];
  }
}

/** Notes which stanzas a file has, when no identity before it matched. */
export class UnmatchedStanzas implements Identity {
  types: readonly string[] | undefined;

  unwrapFileKey(stanzas: Stanza[]): null {
    this.types = stanzas.map((stanza) => stanza.args[0] ?? '');
    return null;
  }
}
