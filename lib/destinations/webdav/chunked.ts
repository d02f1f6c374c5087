import { randomUUID } from 'node:crypto';
import { settled } from '../../abort.ts';
import { type Backoff, pause, pauseBefore } from '../../backoff.ts';
import { BackupError } from '../../errors.ts';
import type { BlockSource } from './block-source.ts';
import type { WebdavClient } from './client.ts';
import { statusOf, webdavFailure } from './failures.ts';
import { chunkBytes } from './options.ts';
import { putBlock } from './put.ts';
import { listUrl, look, makeFolder } from './resources.ts';

/** Names of chunks are numbers up to this one. */
const MOST_CHUNKS = 10_000;
/** Assembling can take the server minutes for each hundred GB. */
const ASSEMBLY_MS = 30 * 60_000;
/** How often the server is told to assemble, and the pauses between. */
const ASSEMBLY_ATTEMPTS = 8;
const ASSEMBLY_PAUSES: Backoff = { firstMs: 1000, longestMs: 64_000 };
/** How long a failed upload waits for its removal, and how long that may go on, in ms. */
const CLEAN_UP_MS = 500;
const LATE_CLEAN_UP_MS = 60_000;
const OURS = /^dbackup-[0-9a-f-]{36}$/;

/** Uploads of this process: a sweep leaves them alone, whatever their age. */
const active = new Set<string>();

/** Where a Nextcloud or ownCloud takes chunks, told from the URL of the user's files; undefined for others. */
export function uploadsUrl(base: URL): URL | undefined {
  const [, before, user] = /^(.*\/remote\.php\/dav)\/files\/([^/]+)\//.exec(base.pathname) ?? [];
  return user === undefined ? undefined : new URL(`${before}/uploads/${user}/`, base);
}

/**
 * Uploads what is too large for one request in chunks, each of which is sent again when its connection breaks.
 * Protocol: https://docs.nextcloud.com/server/latest/developer_manual/client_apis/WebDAV/chunking.html, version 2.
 * Nothing is in the user's files before the last step, which assembles the chunks there.
 * @param first the first chunk
 * @returns the bytes that were sent; undefined, and nothing was taken, when the server does not know chunks
 */
export async function uploadChunks(
  client: WebdavClient,
  uploads: URL,
  target: readonly string[],
  { first, source, signal }: { first: Buffer; source: BlockSource; signal: AbortSignal },
): Promise<number | undefined> {
  // The server wants to know the folder of the target when the first chunk comes.
  await makeFolder(client, target.slice(0, -1), signal);
  const name = `dbackup-${randomUUID()}`;
  const folder = new URL(`${name}/`, uploads);
  const headers = { Destination: client.url(target).href };
  active.add(name);
  try {
    const made = await client.status({ method: 'MKCOL', url: folder, headers, signal }, 201, 404, 405, 501);
    if (made !== 201) return undefined;
    let bytes = 0;
    let chunk = first;
    for (let number = 1; chunk.length > 0; number += 1) {
      if (number > MOST_CHUNKS) throw tooLarge(bytes);
      const url = new URL(String(number).padStart(5, '0'), folder);
      await putBlock(client, { url, body: chunk, headers }, signal);
      bytes += chunk.length;
      chunk = await source.take(chunkBytes(client.options, number + 1));
    }
    await assemble(client, folder, { target, bytes, signal });
    return bytes;
  } catch (error) {
    await settled(removeUpload(client, folder), CLEAN_UP_MS);
    throw error;
  } finally {
    active.delete(name);
  }
}

/** Removes uploads that dead processes have left, if older than that. @returns their names */
export async function sweepUploads(
  client: WebdavClient,
  uploads: URL,
  olderThan: Date,
  signal: AbortSignal,
): Promise<string[]> {
  const swept: string[] = [];
  for (const { name, modified } of (await listUrl(client, uploads, signal)) ?? []) {
    if (!OURS.test(name) || active.has(name) || modified >= olderThan) continue;
    const url = new URL(`${name}/`, uploads);
    await client.status({ method: 'DELETE', url, signal }, 200, 202, 204, 404);
    swept.push(name);
  }
  return swept;
}

/**
 * Has the chunks made into a file. A proxy can give up on the server before it is done, which goes on all the
 * same: then the file shows what became of it, and "locked" that it is still at work.
 */
async function assemble(
  client: WebdavClient,
  folder: URL,
  { target, bytes, signal }: { target: readonly string[]; bytes: number; signal: AbortSignal },
): Promise<void> {
  const headers = {
    Destination: client.url(target).href,
    'OC-Total-Length': String(bytes),
    Overwrite: 'F',
  };
  const request = { method: 'MOVE', url: new URL('.file', folder), headers, signal, patienceMs: ASSEMBLY_MS };
  for (let attempt = 1; ; attempt += 1) {
    try {
      await client.status(request, 201, 204);
      return;
    } catch (error) {
      const { transient } = webdavFailure(error, 'assemble');
      const isRepeated = attempt > 1 && (statusOf(error) === 404 || statusOf(error) === 412);
      if (signal.aborted || !(transient || isRepeated)) throw error;
      if ((await look(client, target, signal).catch(() => undefined))?.bytes === bytes) return;
      if (isRepeated || attempt === ASSEMBLY_ATTEMPTS) throw error;
      await pause(pauseBefore(attempt, ASSEMBLY_PAUSES), signal);
    }
  }
}

/** Best effort: the server also forgets it by itself after a day. */
async function removeUpload(client: WebdavClient, folder: URL): Promise<void> {
  const signal = AbortSignal.timeout(LATE_CLEAN_UP_MS);
  await client.status({ method: 'DELETE', url: folder, signal }, 200, 202, 204, 404).catch(() => undefined);
}

function tooLarge(bytes: number): BackupError {
  return new BackupError(
    'no-space',
    `The server takes at most ${MOST_CHUNKS} chunks, which is ${bytes} bytes: raise the size of chunks of this storage`,
  );
}
