import type { ByteStream } from '../bytes/stream.ts';
import { BackupError } from '../errors.ts';
import type { KeyRing } from '../keys/keys.ts';
import { AGE_MAGIC } from './age/header.ts';
import { openAge } from './age/open.ts';
import { type BlockReader, throughBlocks } from './block-reader.ts';
import { DBK_MAGIC } from './dbk/header.ts';
import { openDbk } from './dbk/open.ts';
import type { EncryptRecord } from './records.ts';
import type { UndoCommand } from './transform.ts';

/** What is needed to open encrypted files. */
export interface DecryptContext {
  readonly keys: KeyRing;
  readonly signal: AbortSignal;
}

type Open = (reader: BlockReader, keys: KeyRing, signal: AbortSignal) => AsyncIterable<Buffer>;

const OPEN: Readonly<Record<EncryptRecord['format'], Open>> = { dbk: openDbk, age: openAge };
const ARMOR_START = Buffer.from('-----BEGIN AGE');

/**
 * Undoes an encrypt step. The file's own header says which keys open it. No unauthenticated byte is
 * yielded; what was yielded before an error must be thrown away by the caller.
 * @throws BackupError while the stream is read: `wrong-key`, `missing-key`, `incomplete`, `corrupt`, `aborted`
 */
export function decrypt(record: EncryptRecord, input: ByteStream, context: DecryptContext): ByteStream {
  const { keys, signal } = context;
  return throughBlocks(input, signal, (reader) => OPEN[record.format](reader, keys, signal));
}

/**
 * Decrypts a file of which nothing else is known: its first bytes tell the format.
 * @throws BackupError as `decrypt`; `corrupt` also when the file is in neither format
 */
export function decryptAny(input: ByteStream, context: DecryptContext): ByteStream {
  const { keys, signal } = context;
  return throughBlocks(input, signal, async function* (reader) {
    yield* (await recognise(reader))(reader, keys, signal);
  });
}

async function recognise(reader: BlockReader): Promise<Open> {
  const start = await reader.readBuffer(AGE_MAGIC.length);
  reader.unread(start);
  if (start.subarray(0, DBK_MAGIC.length).equals(DBK_MAGIC)) return openDbk;
  if (start.equals(AGE_MAGIC)) return openAge;
  if (start.subarray(0, ARMOR_START.length).equals(ARMOR_START)) {
    throw new BackupError('invalid-config', 'The age file is armored (text): decrypt it with age -d');
  }
  throw new BackupError('corrupt', 'This is neither a .dbk nor an age file, or its first bytes are damaged');
}

/**
 * How a person decrypts the file without this product, for RESTORE.md: with `age`, or with the decryptor
 * and the key file of the recovery kit.
 */
export function encryptUndoCommand(record: EncryptRecord): UndoCommand {
  return record.format === 'age' ? ageCommand(record.key) : dbkCommand(record.key);
}

/** Redirected, because `age -o` makes no file when the content is empty. */
function ageCommand(key: EncryptRecord['key']): UndoCommand {
  if (key.type !== 'age') {
    const advice = '`age` asks for the passphrase that the backup was encrypted with.';
    return { tool: 'age', advice, command: (input, output) => `age -d ${input} > ${output}` };
  }
  const recipients = key.recipients.map((recipient) => `\`${shortened(recipient)}\``).join(' or ');
  return {
    tool: 'age',
    advice: `Put the identity (secret key) of the age recipient ${recipients} into \`age-identities.txt\`.`,
    command: (input, output) => `age -d -i age-identities.txt ${input} > ${output}`,
  };
}

function dbkCommand(key: EncryptRecord['key']): UndoCommand {
  const command = (options: string) => (input: string, output: string) =>
    `node dbackup-decrypt.mjs ${options} ${input} ${output}`;
  if (key.type !== 'vault') {
    const advice =
      'Copy `dbackup-decrypt.mjs` here from the recovery kit. It asks for the passphrase that the backup was encrypted with.';
    return { tool: 'node', advice, command: command('--passphrase') };
  }
  const advice = `Copy \`dbackup-decrypt.mjs\` and \`dbackup-keys.json\` here from the recovery kit; the key file must hold version ${key.version} of the key \`${key.id}\`.`;
  return { tool: 'node', advice, command: command('--key-file dbackup-keys.json') };
}

/** Post-quantum recipients have some 2,000 characters. */
function shortened(recipient: string): string {
  return recipient.length <= 80 ? recipient : `${recipient.slice(0, 40)}…${recipient.slice(-12)}`;
}
