import { BackupError } from '../../errors.ts';
import type { FtpConnection } from './connection.ts';
import { type Entry, linesOf, parseFacts, parseUnixListing, timeOf } from './entries.ts';
import { ftpFailure, replyCode, saysMissing } from './failures.ts';
import { ftpLocation } from './options.ts';
import { Transfer } from './transfer.ts';

/** Longest listing of one folder, in bytes: some hundred thousand entries. */
const MAX_LISTING_BYTES = 64 * 1024 * 1024;

/** How often a folder that others make and remove is looked at before a refusal counts. */
const LOOKS = 3;

/** The absolute path of names below the storage's folder. Absolute, because a blank or `-` may begin a name. */
export function pathOf(connection: FtpConnection, names: readonly string[]): string {
  return [connection.root, ...names].join('/') || '/';
}

/**
 * Everything in a folder.
 * @throws the server's refusal as it came; BackupError when the listing is not certain
 */
export async function listFolder(
  connection: FtpConnection,
  path: string,
  signal: AbortSignal,
): Promise<Entry[]> {
  if (connection.features.has('MLST')) {
    const text = await listing(connection, `MLSD ${path}`, path, signal);
    return linesOf(text).flatMap((line) => parseFacts(line) ?? []);
  }
  // LIST answers for a missing folder as for an empty one, and takes its path for a pattern: CWD does not.
  for (let attempt = 1; ; attempt += 1) {
    await connection.command(`CWD ${path}`, signal);
    const text = await listing(connection, 'LIST -a', path, signal);
    // Nothing at all: mostly a folder that was removed meanwhile, which the next CWD shows.
    if (text !== '' || attempt === LOOKS) return parseUnixListing(text, path);
  }
}

/**
 * What has that name; undefined when nothing has. The replies of many servers are the same for what is missing
 * and what is forbidden: then the listing of its folder tells.
 * @throws the server's refusal as it came
 */
export async function look(
  connection: FtpConnection,
  names: readonly string[],
  signal: AbortSignal,
): Promise<Entry | undefined> {
  const path = pathOf(connection, names);
  const name = names.at(-1) ?? '';
  if (connection.features.has('MLST')) {
    const reply = await connection.tryCommand(`MLST ${path}`, signal);
    const facts = reply?.message.split('\n').find((line) => line.startsWith(' '));
    const entry = facts === undefined ? undefined : parseFacts(facts.slice(1));
    if (entry !== undefined) return { ...entry, name };
  }
  try {
    const bytes = await sizeOf(connection, path, signal);
    return { name, type: 'file', bytes, ...(await dated(connection, path, signal)) };
  } catch (error) {
    if (saysMissing(error)) return undefined;
    if (replyCode(error) === undefined) throw error;
  }
  return await lookInFolder(connection, names, signal);
}

/** The size that the server has of a file. @throws the server's refusal as it came */
export async function sizeOf(connection: FtpConnection, path: string, signal: AbortSignal): Promise<number> {
  const { message } = await connection.command(`SIZE ${path}`, signal);
  const size = /^213[ -](\d+)/.exec(message)?.[1];
  if (size === undefined) throw new Error(`SIZE was answered by: ${message}`);
  return Number(size);
}

/** When a file was changed, for servers whose listing does not say so exactly. */
export async function dated(
  connection: FtpConnection,
  path: string,
  signal: AbortSignal,
): Promise<{ modified: Date }> {
  const { message } = await connection.command(`MDTM ${path}`, signal);
  const modified = timeOf(message.slice(4));
  if (modified === undefined) throw new Error(`MDTM was answered by: ${message}`);
  return { modified };
}

/**
 * Whether the storage's folder is there. False only when it will be created by the first write.
 * @throws BackupError `not-found`, `invalid-config`, `permission`
 */
export async function hasRoot(connection: FtpConnection, signal: AbortSignal): Promise<boolean> {
  const path = pathOf(connection, []);
  try {
    await connection.command(`CWD ${path}`, signal);
    return true;
  } catch (error) {
    const reason = ftpFailure(error, `open the folder ${path} on ${ftpLocation(connection.options)}`);
    if (replyCode(error) === undefined || reason.code === 'invalid-config') throw reason;
    if (reason.code !== 'not-found' && (await isListedAbove(connection, path, signal))) throw reason;
  }
  if (connection.options.create) return false;
  throw new BackupError(
    'not-found',
    `The folder ${path} does not exist on ${ftpLocation(connection.options)}: create it, or switch on "Create the folder"`,
  );
}

/**
 * Makes the folders that are missing.
 * @throws BackupError `invalid-config` when one of them is a file, else the server's refusal as it came
 */
export async function makeFolders(
  connection: FtpConnection,
  names: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const path = pathOf(connection, names);
  if ((await connection.tryCommand(`CWD ${path}`, signal)) !== undefined) return;
  let refusal: unknown;
  for (const folder of connection.options.create ? pathsTo(path) : foldersTo(connection, names)) {
    try {
      await connection.command(`MKD ${folder}`, signal);
    } catch (error) {
      if (replyCode(error) === undefined) throw error;
      if ((await connection.tryCommand(`CWD ${folder}`, signal)) !== undefined) continue;
      refusal = error;
      break;
    }
  }
  if ((await connection.tryCommand(`CWD ${path}`, signal)) !== undefined) return;
  for (const [index] of names.entries()) {
    const upTo = names.slice(0, index + 1);
    const found = await look(connection, upTo, signal);
    if (found === undefined || found.type === 'folder') continue;
    throw new BackupError(
      'invalid-config',
      `${upTo.join('/')} is a file on the FTP server, but a folder is needed there`,
    );
  }
  throw refusal ?? new FolderGone(path);
}

/** A folder that was there a moment ago: somebody else pruned it. */
export class FolderGone extends Error {
  constructor(path: string) {
    super(`${path} was removed by somebody else`);
  }
}

/** Removes the folders that are empty, from the last one up to, and not including, the storage's own. */
export async function pruneFolders(
  connection: FtpConnection,
  names: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  for (let depth = names.length; depth > 0; depth -= 1) {
    const folder = pathOf(connection, names.slice(0, depth));
    if ((await connection.tryCommand(`RMD ${folder}`, signal)) === undefined) return;
  }
}

async function listing(
  connection: FtpConnection,
  command: string,
  path: string,
  signal: AbortSignal,
): Promise<string> {
  const transfer = await Transfer.start(connection, command, signal);
  try {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of transfer.received()) {
      bytes += chunk.length;
      if (bytes > MAX_LISTING_BYTES)
        throw new Error(`The listing of ${path} is larger than ${MAX_LISTING_BYTES} bytes`);
      chunks.push(chunk);
    }
    const { message } = await transfer.final();
    // vsftpd: "226 Transfer done (but failed to open directory)."
    if (/fail|unable|error/i.test(message)) {
      throw new BackupError('permission', `The FTP server cannot list ${path}: ${message}`);
    }
    return Buffer.concat(chunks).toString('utf8');
  } catch (error) {
    throw await transfer.fail(error);
  }
}

async function lookInFolder(
  connection: FtpConnection,
  names: readonly string[],
  signal: AbortSignal,
): Promise<Entry | undefined> {
  const entries = await listedOrMissing(connection, names.slice(0, -1), signal);
  if (entries === undefined) return undefined;
  const found = entries.find(({ name }) => name === names.at(-1));
  if (found?.type !== 'file' || found.modified !== undefined) return found;
  return { ...found, ...(await dated(connection, pathOf(connection, names), signal)) };
}

/**
 * The entries of a folder; undefined when there is no such folder.
 * @throws the server's refusal as it came, when the folder is there and stays so
 */
async function listedOrMissing(
  connection: FtpConnection,
  names: readonly string[],
  signal: AbortSignal,
): Promise<Entry[] | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await listFolder(connection, pathOf(connection, names), signal);
    } catch (error) {
      if (saysMissing(error) && names.length > 0) return undefined;
      if (replyCode(error) === undefined) throw error;
      const isThere =
        names.length === 0
          ? await hasRoot(connection, signal)
          : (await lookInFolder(connection, names, signal))?.type === 'folder';
      if (!isThere) return undefined;
      // Somebody may have removed and made it meanwhile.
      if (attempt === LOOKS) throw error;
    }
  }
}

/** Whether the folder above shows it; true when that cannot be listed either. */
async function isListedAbove(connection: FtpConnection, path: string, signal: AbortSignal): Promise<boolean> {
  const slash = path.lastIndexOf('/');
  if (path === '/' || slash < 0) return true;
  try {
    const above = await listFolder(connection, path.slice(0, slash) || '/', signal);
    return above.some(({ name }) => name === path.slice(slash + 1));
  } catch (error) {
    if (replyCode(error) === undefined) throw error;
    return !saysMissing(error);
  }
}

function foldersTo(connection: FtpConnection, names: readonly string[]): string[] {
  return names.map((_, index) => pathOf(connection, names.slice(0, index + 1)));
}

function pathsTo(path: string): string[] {
  const parts = path.split('/').filter((part) => part !== '');
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join('/')}`);
}
