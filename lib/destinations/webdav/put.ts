import { type Backoff, pause, pauseBefore } from '../../backoff.ts';
import type { BlockSource } from './block-source.ts';
import type { WebdavClient } from './client.ts';
import { statusOf, webdavFailure } from './failures.ts';
import { makeFolder } from './resources.ts';
import { Upload } from './upload.ts';

/** How often a block is sent, and the pauses between. */
const ATTEMPTS = 4;
const PAUSES: Backoff = { firstMs: 500, longestMs: 4000 };
/** How often folders that others remove are made again. */
const FOLDER_ATTEMPTS = 10;

/** Sends a block that is in memory; again when its connection breaks or the server has no time. */
export async function putBlock(
  client: WebdavClient,
  { url, body, headers = {} }: { url: URL; body: Buffer; headers?: Record<string, string> },
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const all = { 'Content-Type': 'application/octet-stream', ...headers };
      await client.status({ method: 'PUT', url, body, headers: all, signal }, 200, 201, 204);
      return;
    } catch (error) {
      if (signal.aborted || attempt === ATTEMPTS || !webdavFailure(error, 'send a block').transient)
        throw error;
      await pause(pauseBefore(attempt, PAUSES), signal);
    }
  }
}

/** Stores a small object whole, having made its folder where that is missing. */
export async function putSmall(
  client: WebdavClient,
  names: readonly string[],
  body: Buffer,
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await putBlock(client, { url: client.url(names), body }, signal);
      return;
    } catch (error) {
      const status = statusOf(error);
      if ((status !== 409 && status !== 404) || attempt === FOLDER_ATTEMPTS) throw error;
      await makeFolder(client, names.slice(0, -1), signal);
    }
  }
}

/**
 * Stores an object of unknown size in one request. An empty file comes first: that tells at once whether it can
 * be written at all, and keeps its folder from being removed by others.
 * @param first what was taken of the source already
 * @returns the bytes that were sent
 */
export async function putStream(
  client: WebdavClient,
  names: readonly string[],
  { first, source, signal }: { first: Buffer; source: BlockSource; signal: AbortSignal },
): Promise<number> {
  await putSmall(client, names, Buffer.alloc(0), signal);
  const upload = await Upload.start(client, client.url(names), signal);
  let bytes = 0;
  try {
    await upload.send(first, () => undefined);
    bytes += first.length;
    for (;;) {
      const chunk = await upload.whileGoing(source.some());
      if (chunk === undefined) break;
      bytes += chunk.length;
      await upload.send(chunk, (sent) => source.release(sent));
    }
    await upload.finish();
    return bytes;
  } catch (error) {
    throw await upload.fail(error);
  }
}
