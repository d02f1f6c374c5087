import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { WebdavOptionsInput } from '../../lib/destinations/webdav/options.ts';
import { TestApache } from './apache.ts';

const FILES = '/remote.php/dav/files/tester';
const UPLOADS = '/remote.php/dav/uploads/tester';
/** Of the protocol, for every chunk but the last. */
const SMALLEST_CHUNK = 5_000_000;

/** What the server does to one request before it looks at it. */
export type NextcloudFault = (request: IncomingMessage) => 'pass' | 'reset' | 'answer then reset' | number;

/**
 * Not a Nextcloud, but its chunked upload, version 2, by its documentation
 * (https://docs.nextcloud.com/server/latest/developer_manual/client_apis/WebDAV/chunking.html) and strict: the
 * user's files are an Apache's, and what is under /uploads is ours.
 */
export class TestNextcloud {
  readonly port: number;
  readonly root: string;
  /** As a Nextcloud; below /dav it is a plain WebDAV server. */
  readonly settings: WebdavOptionsInput;
  /** Methods and paths that came, with `files` or `uploads` for what is before the user's part. */
  readonly requests: string[] = [];
  /** Bytes that the user may still store; undefined: no quota. */
  quota: number | undefined;
  fault: NextcloudFault = () => 'pass';
  readonly #apache: TestApache;
  readonly #server: Server;
  readonly #folder: string;
  /** The Destination with which each upload was begun. */
  readonly #targets = new Map<string, string>();

  private constructor(apache: TestApache, server: Server, folder: string) {
    this.root = apache.root;
    this.#apache = apache;
    this.#server = server;
    this.#folder = folder;
    const { port } = server.address() as AddressInfo;
    this.port = port;
    this.settings = { ...apache.settings, url: `http://127.0.0.1:${port}${FILES}`, chunkMiB: 5 };
  }

  static async start(): Promise<TestNextcloud> {
    const folder = await mkdtemp(join(tmpdir(), 'dbackup-nextcloud-'));
    await chmod(folder, 0o755);
    await mkdir(join(folder, 'uploads'));
    const root = join(folder, 'files');
    const apache = await TestApache.start({ root, config: [`Alias ${FILES} ${root}`] });
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const nextcloud = new TestNextcloud(apache, server, folder);
    server.on('request', (incoming, reply) => {
      nextcloud.#handle(incoming, reply).catch(() => reply.destroy());
    });
    return nextcloud;
  }

  /** Names of the uploads that are open. */
  async uploads(): Promise<string[]> {
    return await readdir(join(this.#folder, 'uploads'));
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await Promise.all([closed, this.#apache.stop()]);
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #handle(incoming: IncomingMessage, reply: ServerResponse): Promise<void> {
    const { pathname } = new URL(incoming.url ?? '', 'http://server');
    this.requests.push(
      `${incoming.method} ${pathname.replace(`${FILES}/`, 'files/').replace(`${UPLOADS}/`, 'uploads/')}`,
    );
    const fault = this.fault(incoming);
    if (fault === 'reset') {
      incoming.socket.resetAndDestroy();
      return;
    }
    if (typeof fault === 'number') return await answer(incoming, reply, fault);
    if (fault === 'answer then reset') {
      // It is done, and nobody hears of it.
      reply.writeHead = () => {
        incoming.socket.resetAndDestroy();
        return reply;
      };
    }
    if (pathname === UPLOADS || pathname.startsWith(`${UPLOADS}/`))
      return await this.#uploads(incoming, reply, pathname);
    if (incoming.method === 'PROPFIND' && this.quota !== undefined && pathname.startsWith(FILES)) {
      if (await this.#answerQuota(incoming, reply, pathname)) return;
    }
    this.#forward(incoming, reply);
  }

  #forward(incoming: IncomingMessage, reply: ServerResponse, body?: Buffer): void {
    const { destination, ...headers } = incoming.headers;
    const target = `http://127.0.0.1:${this.#apache.port}`;
    const passed = request(`${target}${incoming.url}`, {
      method: incoming.method,
      headers: {
        ...headers,
        host: `127.0.0.1:${this.#apache.port}`,
        ...(typeof destination === 'string'
          ? { destination: destination.replace(/^https?:\/\/[^/]+/, target) }
          : {}),
      },
    });
    passed.on('response', (answered) => {
      reply.writeHead(answered.statusCode ?? 500, answered.headers);
      answered.pipe(reply);
      answered.on('error', () => reply.destroy());
    });
    passed.on('error', () => reply.destroy());
    incoming.on('error', () => passed.destroy());
    reply.on('close', () => {
      if (!reply.writableFinished) passed.destroy();
    });
    if (body === undefined) incoming.pipe(passed);
    else passed.end(body);
  }

  /** Apache has no quotas. */
  async #answerQuota(incoming: IncomingMessage, reply: ServerResponse, pathname: string): Promise<boolean> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    if (!body.includes('quota-available-bytes')) {
      this.#forward(incoming, reply, body);
      return true;
    }
    const prop = `<d:quota-available-bytes>${this.quota}</d:quota-available-bytes>`;
    multistatus(reply, [`<d:href>${pathname}</d:href>${propstat(prop)}`]);
    return true;
  }

  async #uploads(incoming: IncomingMessage, reply: ServerResponse, pathname: string): Promise<void> {
    const [name = '', part = '', ...more] = pathname.slice(UPLOADS.length + 1).split('/');
    const folder = join(this.#folder, 'uploads', name);
    const { method, headers } = incoming;
    if (more.length > 0) return await answer(incoming, reply, 404);
    if (method === 'PROPFIND' && name === '') return await this.#listUploads(incoming, reply);
    if (method === 'MKCOL' && part === '')
      return await answer(incoming, reply, await this.#begin(name, folder, headers));
    if (!(await isThere(folder))) return await answer(incoming, reply, 404);
    if (method === 'DELETE' && part === '') {
      await this.#forget(name, folder);
      return await answer(incoming, reply, 204);
    }
    if (method === 'GET') return await answer(incoming, reply, 405);
    if (headers.destination !== this.#targets.get(name)) return await answer(incoming, reply, 400);
    if (method === 'PUT') return await this.#takeChunk(incoming, reply, folder, part);
    if (method === 'MOVE' && part === '.file') {
      return await answer(incoming, reply, await this.#assemble(name, folder, headers));
    }
    await answer(incoming, reply, 405);
  }

  async #begin(name: string, folder: string, headers: IncomingMessage['headers']): Promise<number> {
    const target = String(headers.destination);
    if (this.#fileOf(target) === undefined) return 400;
    if (await isThere(folder)) return 405;
    await mkdir(folder);
    this.#targets.set(name, target);
    return 201;
  }

  async #takeChunk(
    incoming: IncomingMessage,
    reply: ServerResponse,
    folder: string,
    part: string,
  ): Promise<void> {
    const number = /^\d+$/.test(part) ? Number(part) : 0;
    const length = Number(incoming.headers['content-length'] ?? Number.NaN);
    const target = this.#fileOf(String(incoming.headers.destination));
    if (number < 1 || number > 10_000 || Number.isNaN(length)) return await answer(incoming, reply, 400);
    if (target === undefined || !(await isThere(join(target, '..'))))
      return await answer(incoming, reply, 404);
    if (this.quota !== undefined && (await bytesIn(folder)) + length > this.quota)
      return await answer(incoming, reply, 507);
    const unfinished = join(folder, `.${part}.unfinished`);
    await pipeline(incoming, createWriteStream(unfinished));
    if ((await stat(unfinished)).size !== length) return await answer(incoming, reply, 400);
    await rename(unfinished, join(folder, part));
    reply.writeHead(201).end();
  }

  async #assemble(name: string, folder: string, headers: IncomingMessage['headers']): Promise<number> {
    const target = this.#fileOf(String(headers.destination));
    if (target === undefined) return 400;
    const replaces = await isThere(target);
    if (replaces && headers.overwrite === 'F') return 412;
    const parts = (await readdir(folder)).sort((a, b) => Number(a) - Number(b));
    const sizes = await Promise.all(parts.map(async (part) => (await stat(join(folder, part))).size));
    if (sizes.slice(0, -1).some((size) => size < SMALLEST_CHUNK)) return 400;
    const total = headers['oc-total-length'];
    if (total !== undefined && String(total) !== String(sizes.reduce((sum, size) => sum + size, 0)))
      return 400;
    for (const part of parts) {
      const assembled = createWriteStream(`${folder}.assembled`, { flags: 'a' });
      await pipeline(createReadStream(join(folder, part)), assembled);
    }
    await rename(`${folder}.assembled`, target);
    await this.#forget(name, folder);
    return replaces ? 204 : 201;
  }

  async #forget(name: string, folder: string): Promise<void> {
    this.#targets.delete(name);
    await rm(folder, { recursive: true, force: true });
  }

  async #listUploads(incoming: IncomingMessage, reply: ServerResponse): Promise<void> {
    incoming.resume();
    const collection = '<d:resourcetype><d:collection/></d:resourcetype>';
    const entries = [`<d:href>${UPLOADS}/</d:href>${propstat(collection)}`];
    for (const name of await this.uploads()) {
      const { mtime } = await stat(join(this.#folder, 'uploads', name));
      const time = `<d:getlastmodified>${mtime.toUTCString()}</d:getlastmodified>`;
      entries.push(`<d:href>${UPLOADS}/${name}/</d:href>${propstat(collection + time)}`);
    }
    multistatus(reply, entries);
  }

  /** Where a Destination lies on this disk. */
  #fileOf(destination: string): string | undefined {
    if (!URL.canParse(destination)) return undefined;
    const { pathname } = new URL(destination);
    if (!pathname.startsWith(`${FILES}/`)) return undefined;
    return join(this.root, decodeURIComponent(pathname.slice(FILES.length + 1)));
  }
}

function multistatus(reply: ServerResponse, responses: readonly string[]): void {
  const list = responses.map((response) => `<d:response>${response}</d:response>`).join('');
  reply.writeHead(207, { 'Content-Type': 'application/xml; charset=utf-8' });
  reply.end(`<?xml version="1.0"?><d:multistatus xmlns:d="DAV:">${list}</d:multistatus>`);
}

function propstat(prop: string): string {
  return `<d:propstat><d:prop>${prop}</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>`;
}

/** Takes what the client still sends, so that it gets the answer. */
async function answer(incoming: IncomingMessage, reply: ServerResponse, status: number): Promise<void> {
  incoming.resume();
  reply.writeHead(status).end();
  if (!incoming.complete) await once(incoming, 'end');
}

async function bytesIn(folder: string): Promise<number> {
  const names = await readdir(folder);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
