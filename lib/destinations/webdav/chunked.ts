import { randomUUID } from 'node:crypto';
import { BackupError } from '../../errors.ts';
import type { BlockSource } from './block-source.ts';
import type { WebdavClient } from './client.ts';
import { chunkBytes } from './options.ts';
import { putBlock } from './put.ts';
import { makeFolder } from './resources.ts';

/** Names of chunks are numbers up to this one. */
const MOST_CHUNKS = 10_000;
/** Assembling can take the server minutes for each hundred GB. */
const ASSEMBLY_MS = 30 * 60_000;
const CLEAN_UP_MS = 60_000;

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
  const folder = new URL(`dbackup-${randomUUID()}/`, uploads);
  const headers = { Destination: client.url(target).href };
  const made = await client.status({ method: 'MKCOL', url: folder, headers, signal }, 201, 404, 405, 501);
  if (made !== 201) return undefined;
  try {
    let bytes = 0;
    let chunk = first;
    for (let number = 1; chunk.length > 0; number += 1) {
      if (number > MOST_CHUNKS) throw tooLarge(bytes);
      const url = new URL(String(number).padStart(5, '0'), folder);
      await putBlock(client, { url, body: chunk, headers }, signal);
      bytes += chunk.length;
      chunk = await source.take(chunkBytes(client.options, number + 1));
    }
    const assembled = { ...headers, 'OC-Total-Length': String(bytes), Overwrite: 'F' };
    const move = { method: 'MOVE', url: new URL('.file', folder), headers: assembled, signal };
    await client.status({ ...move, patienceMs: ASSEMBLY_MS }, 201, 204);
    return bytes;
  } catch (error) {
    // The server also forgets it by itself after a day.
    const cleanUp = AbortSignal.timeout(CLEAN_UP_MS);
    client
      .status({ method: 'DELETE', url: folder, signal: cleanUp }, 200, 202, 204, 404)
      .catch(() => undefined);
    throw error;
  }
}

function tooLarge(bytes: number): BackupError {
  return new BackupError(
    'no-space',
    `The server takes at most ${MOST_CHUNKS} chunks, which is ${bytes} bytes: raise the size of chunks of this storage`,
  );
}
