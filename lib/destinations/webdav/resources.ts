import { randomBytes } from 'node:crypto';
import { BackupError } from '../../errors.ts';
import { temporaryName } from '../temporary-names.ts';
import type { WebdavClient } from './client.ts';
import { StatusError, statusOf } from './failures.ts';
import { type DavResource, parseMultistatus } from './multistatus.ts';

/** What a server tells of one name. */
export interface Entry {
  readonly name: string;
  readonly type: 'file' | 'folder';
  /** Of files. */
  readonly bytes: number;
  /** The beginning of 1970 for folders of servers that tell no time for them. */
  readonly modified: Date;
  readonly etag: string | undefined;
}

const BODY = Buffer.from(
  '<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop>' +
    '<resourcetype/><getcontentlength/><getlastmodified/><getetag/></prop></propfind>',
);
const QUOTA_BODY = Buffer.from(
  '<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop><quota-available-bytes/></prop></propfind>',
);

/** What has that name; undefined when nothing has. @throws the server's refusal as it came */
export async function look(
  client: WebdavClient,
  names: readonly string[],
  signal: AbortSignal,
): Promise<Entry | undefined> {
  const url = client.url(names);
  const found = await propfind(client, url, { depth: 0, body: BODY, signal });
  if (found === undefined) return undefined;
  const self = found.find(({ href }) => namesBelow(url, href).length === 0);
  if (self === undefined) throw unclear(url, 'it lists something else');
  return entryOf(names.at(-1) ?? '', self);
}

/**
 * Everything directly in a folder; undefined when there is no such folder.
 * @throws the server's refusal as it came, BackupError when the list is not certain
 */
export async function listFolder(
  client: WebdavClient,
  names: readonly string[],
  signal: AbortSignal,
): Promise<Entry[] | undefined> {
  return await listUrl(client, client.url(names, { folder: true }), signal);
}

/** The same for any folder of the server. */
export async function listUrl(
  client: WebdavClient,
  url: URL,
  signal: AbortSignal,
): Promise<Entry[] | undefined> {
  const found = await propfind(client, url, { depth: 1, body: BODY, signal });
  if (found === undefined) return undefined;
  const entries: Entry[] = [];
  let hasSelf = false;
  for (const resource of found) {
    const [name, ...deeper] = namesBelow(url, resource.href);
    if (deeper.length > 0) throw unclear(url, `it lists ${resource.href}, which does not lie directly in it`);
    if (name !== undefined) entries.push(entryOf(name, resource));
    else if (resource.isCollection) hasSelf = true;
    else throw new BackupError('invalid-config', `${url.href} is a file on the WebDAV server, not a folder`);
  }
  if (!hasSelf) throw unclear(url, 'the folder itself is missing in its list');
  return entries;
}

/** Bytes that may still be stored in the storage's folder (RFC 4331); undefined when the server does not tell. */
export async function quotaAvailable(client: WebdavClient, signal: AbortSignal): Promise<number | undefined> {
  const found = await propfind(client, client.base, { depth: 0, body: QUOTA_BODY, signal });
  const text = found?.[0]?.properties.get('quota-available-bytes');
  // Nextcloud says -3 for "unlimited" and -2 for "unknown".
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

/**
 * Makes the folder where it is missing, and those above it.
 * @throws BackupError `invalid-config` when one of them is a file, else the server's refusal as it came
 */
export async function makeFolder(
  client: WebdavClient,
  names: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  // Without `create` the storage's own folder is never made.
  if (names.length === 0 && !client.options.create) return;
  await makeCollection(client, client.url(names, { folder: true }), signal);
  const made = await look(client, names, signal);
  if (made === undefined || made.type === 'folder') return;
  throw new BackupError(
    'invalid-config',
    `${names.join('/')} is a file on the WebDAV server, but a folder is needed there`,
  );
}

async function makeCollection(client: WebdavClient, url: URL, signal: AbortSignal): Promise<void> {
  const status = await tryCollection(client, url, signal);
  if (status === undefined) return;
  const above = new URL('..', url);
  const isBeyond = above.pathname.length <= client.base.pathname.length && !client.options.create;
  if (above.pathname === url.pathname || isBeyond) throw new StatusError(status, 'Not Found');
  await makeCollection(client, above, signal);
  const again = await tryCollection(client, url, signal);
  if (again !== undefined) throw new StatusError(again, 'Conflict');
}

/** Undefined when the folder is there now; else the status by which the server says that one above it is missing. */
async function tryCollection(
  client: WebdavClient,
  url: URL,
  signal: AbortSignal,
): Promise<number | undefined> {
  const status = await client.status({ method: 'MKCOL', url, signal }, 201, 405, 403, 404, 409);
  if (status === 201 || status === 405) return undefined;
  if (status !== 403) return status;
  // mod_dav also says "Forbidden" when another request has just made it.
  const headers = { Depth: '0' };
  const there = await client.status({ method: 'PROPFIND', url, headers, signal }, 207, 404);
  if (there === 207) return undefined;
  throw new StatusError(status, 'Forbidden');
}

/** Removes a file; no error when it is gone. */
export async function removeFile(
  client: WebdavClient,
  names: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  await client.status({ method: 'DELETE', url: client.url(names), signal }, 200, 202, 204, 404);
}

/** Removes a folder with everything in it; no error when it is gone. */
export async function removeTree(
  client: WebdavClient,
  names: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  await client.status(
    { method: 'DELETE', url: client.url(names, { folder: true }), signal },
    200,
    202,
    204,
    404,
  );
}

export interface MoveOptions {
  readonly overwrite: boolean;
  readonly folder?: boolean;
  readonly signal: AbortSignal;
  readonly patienceMs?: number;
}

/** Gives a resource another name. @throws StatusError, 412 when that name is taken */
export async function move(
  client: WebdavClient,
  from: readonly string[],
  to: readonly string[],
  { overwrite, folder = false, signal, patienceMs }: MoveOptions,
): Promise<void> {
  const headers = { Destination: client.url(to, { folder }).href, Overwrite: overwrite ? 'T' : 'F' };
  const request = { method: 'MOVE', url: client.url(from, { folder }), headers, signal };
  await client.status({ ...request, ...(patienceMs === undefined ? {} : { patienceMs }) }, 201, 204);
}

/**
 * Removes a folder if it is empty; false when it stays. WebDAV can only remove folders with all that is in
 * them: so it first gets a name that nobody else knows, and goes when it is still empty then.
 */
export async function removeIfEmpty(
  client: WebdavClient,
  names: readonly string[],
  signal: AbortSignal,
): Promise<boolean> {
  const entries = await listFolder(client, names, signal);
  if (entries === undefined || entries.length > 0) return entries === undefined;
  const aside = [...names.slice(0, -1), temporaryName(randomBytes(4).toString('hex'))];
  try {
    await move(client, names, aside, { overwrite: false, folder: true, signal });
  } catch (error) {
    if (statusOf(error) === undefined) throw error;
    return false;
  }
  const late = (await listFolder(client, aside, signal)) ?? [];
  if (late.length > 0) await putBack(client, aside, names, late, signal);
  // Whatever could not be put back stays, hidden.
  const left = late.length === 0 ? late : await listFolder(client, aside, signal);
  if (left?.length === 0) await removeTree(client, aside, signal);
  return late.length === 0;
}

async function putBack(
  client: WebdavClient,
  aside: readonly string[],
  names: readonly string[],
  entries: readonly Entry[],
  signal: AbortSignal,
): Promise<void> {
  await makeFolder(client, names, signal);
  for (const { name, type } of entries) {
    const folder = type === 'folder';
    await move(client, [...aside, name], [...names, name], { overwrite: false, folder, signal });
  }
}

async function propfind(
  client: WebdavClient,
  url: URL,
  { depth, body, signal }: { depth: 0 | 1; body: Buffer; signal: AbortSignal },
): Promise<DavResource[] | undefined> {
  const headers = { Depth: String(depth), 'Content-Type': 'application/xml; charset=utf-8' };
  const reply = await client.send({ method: 'PROPFIND', url, headers, body, signal }, 207, 404);
  if (reply.statusCode === 404) {
    reply.resume();
    return undefined;
  }
  const failure = (status: number, href: string) =>
    new StatusError(status, `for ${decodeURIComponent(new URL(href, url).pathname)}`);
  try {
    return await parseMultistatus(client.chunksOf(reply), failure);
  } catch (error) {
    reply.destroy();
    throw error;
  }
}

/** The names of a listed resource below those of a URL. Only its path counts: proxies change host and scheme. */
function namesBelow(url: URL, href: string): string[] {
  const listed = segmentsOf(href, url);
  const above = segmentsOf(url.href, url);
  if (above.every((segment, index) => listed[index] === segment)) return listed.slice(above.length);
  throw unclear(url, `it lists ${href}, which does not lie in it`);
}

function segmentsOf(href: string, base: URL): string[] {
  try {
    const { pathname } = new URL(href, base);
    return pathname
      .split('/')
      .filter((segment) => segment !== '')
      .map(decodeURIComponent);
  } catch {
    throw new BackupError('corrupt', `The WebDAV server lists ${href}, which is no URL`);
  }
}

function entryOf(name: string, { href, isCollection, properties }: DavResource): Entry {
  const etag = properties.get('getetag');
  const modified = new Date(properties.get('getlastmodified') ?? (isCollection ? 0 : Number.NaN));
  if (isCollection) return { name, type: 'folder', bytes: 0, modified, etag };
  const size = properties.get('getcontentlength') ?? '';
  if (!/^\d+$/.test(size) || Number.isNaN(modified.getTime())) {
    throw new BackupError('corrupt', `The WebDAV server does not tell size and time of ${href}`);
  }
  return { name, type: 'file', bytes: Number(size), modified, etag };
}

function unclear(url: URL, why: string): BackupError {
  return new BackupError('corrupt', `The WebDAV server does not tell what is in ${url.href}: ${why}`);
}
