import { readFile } from 'node:fs/promises';
import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { orTimeout } from '../../abort.ts';
import { abortError, BackupError, throwIfAborted } from '../../errors.ts';
import { DigestAuth } from './digest.ts';
import { StatusError } from './failures.ts';
import type { WebdavOptions } from './options.ts';

/** How much of a reply that nobody reads is taken, so that its connection can be used again, in bytes. */
const MAX_DISCARDED_BYTES = 256 * 1024;
const KEEP_ALIVE_MS = 30_000;
/** Methods that do the same when they are done twice, so that a connection that was gone already is no error. */
const REPEATABLE: readonly string[] = ['PROPFIND', 'GET', 'PUT', 'DELETE'];

export interface DavRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: Buffer;
  readonly signal: AbortSignal;
  /** How long the reply may take, in ms; the timeout of the options when absent. */
  readonly patienceMs?: number;
}

interface Agents {
  readonly kept: HttpAgent;
  /** A connection of its own for each request: one that the server has given up meanwhile would be no answer. */
  readonly fresh: HttpAgent;
}

/** Sends requests as the options say. Redirects are not followed: they could lead the password astray. */
export class WebdavClient {
  readonly options: WebdavOptions;
  readonly timeoutMs: number;
  /** URL of the storage's folder, with a slash at its end. */
  readonly base: URL;
  readonly #digest: DigestAuth | undefined;
  #agents: Promise<Agents> | undefined;

  constructor(options: WebdavOptions) {
    this.options = options;
    this.timeoutMs = options.timeout * 1000;
    this.base = new URL(options.url.endsWith('/') ? options.url : `${options.url}/`);
    this.#digest =
      options.auth === 'digest' ? new DigestAuth(options.user, options.password ?? '') : undefined;
  }

  /** URL of names below the storage's folder. */
  url(names: readonly string[], { folder = false } = {}): URL {
    const path = names.map(encodeURIComponent).join('/');
    return new URL(`${this.base.pathname}${path}${folder && path !== '' ? '/' : ''}`, this.base);
  }

  /**
   * Sends a request and gives the reply whose status is one of those that are expected; the others are thrown.
   * @throws StatusError, or what broke, as it came
   */
  async send(request: DavRequest, ...expected: readonly number[]): Promise<IncomingMessage> {
    const reply = await this.#sendAuthorized(request);
    const status = reply.statusCode ?? 0;
    if (expected.includes(status)) return reply;
    throw await refusal(reply);
  }

  /** The same, where the body of the reply is of no interest. @returns the status */
  async status(request: DavRequest, ...expected: readonly number[]): Promise<number> {
    const reply = await this.send(request, ...expected);
    await discard(reply);
    return reply.statusCode ?? 0;
  }

  /** Begins a request whose body is written by the caller, on a connection of its own. */
  async begin(method: string, url: URL, headers: OutgoingHttpHeaders): Promise<ClientRequest> {
    const { fresh } = await this.#ready();
    return this.#create(method, url, headers, fresh);
  }

  /** The body of a reply; fails when the server hangs or the connection breaks. */
  async *chunksOf(reply: IncomingMessage): AsyncGenerator<Buffer, undefined> {
    const chunks = reply.iterator({ destroyOnReturn: true });
    try {
      for (;;) {
        const late = () => this.stalled('gave', this.timeoutMs);
        const next: IteratorResult<unknown> = await orTimeout(chunks.next(), this.timeoutMs, late);
        if (next.done === true) return;
        yield next.value as Buffer;
      }
    } finally {
      if (!reply.complete) reply.destroy();
    }
  }

  stalled(verb: string, limitMs: number): BackupError {
    const text = `The WebDAV server ${verb} nothing for ${limitMs / 1000} s: check it and its network`;
    return new BackupError('stalled', text, { transient: true });
  }

  async #sendAuthorized(request: DavRequest): Promise<IncomingMessage> {
    const reply = await this.#sendTwiceIfGone(request);
    if (reply.statusCode !== 401 || this.#digest === undefined) return reply;
    const challenges = reply.headersDistinct['www-authenticate'] ?? [];
    if (!this.#digest.accept(challenges)) return reply;
    await discard(reply);
    return await this.#sendTwiceIfGone(request);
  }

  async #sendTwiceIfGone(request: DavRequest): Promise<IncomingMessage> {
    throwIfAborted(request.signal);
    const { kept, fresh } = await this.#ready();
    const repeatable = REPEATABLE.includes(request.method);
    const headers = { ...request.headers, 'Content-Length': request.body?.length ?? 0 };
    const first = this.#create(request.method, request.url, headers, repeatable ? kept : fresh);
    try {
      return await this.#exchange(first, request);
    } catch (error) {
      // The kept connection was dead already, closed by the server or forgotten by a router: a new one tells.
      if (!first.reusedSocket || !repeatable || request.signal.aborted) throw error;
      return await this.#exchange(this.#create(request.method, request.url, headers, fresh), request);
    }
  }

  #create(method: string, url: URL, headers: OutgoingHttpHeaders, agent: HttpAgent): ClientRequest {
    const start = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const authorization = this.#authorization(method, url);
    return start(url, {
      method,
      agent,
      headers: {
        'User-Agent': 'dbackup',
        'Accept-Encoding': 'identity',
        ...headers,
        ...(authorization === undefined ? {} : { Authorization: authorization }),
      },
    });
  }

  #authorization(method: string, url: URL): string | undefined {
    const { auth, user, password = '', token = '' } = this.options;
    if (auth === 'basic') return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
    if (auth === 'bearer') return `Bearer ${token}`;
    return this.#digest?.header(method, `${url.pathname}${url.search}`);
  }

  async #exchange(
    request: ClientRequest,
    { body, signal, patienceMs }: DavRequest,
  ): Promise<IncomingMessage> {
    const limitMs = patienceMs ?? this.timeoutMs;
    const replied = new Promise<IncomingMessage>((resolve, reject) => {
      request.once('response', resolve);
      // The last one comes after the reply, when its body breaks: it shows there.
      request.on('error', reject);
    });
    const onAbort = () => request.destroy(abortError(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    request.once('close', () => signal.removeEventListener('abort', onAbort));
    request.end(body);
    try {
      return await orTimeout(replied, limitMs, () => this.stalled('answered', limitMs));
    } catch (error) {
      request.destroy();
      throwIfAborted(signal);
      throw error;
    }
  }

  #ready(): Promise<Agents> {
    this.#agents ??= this.#makeAgents().catch((error: unknown) => {
      this.#agents = undefined;
      throw error;
    });
    return this.#agents;
  }

  async #makeAgents(): Promise<Agents> {
    const common = { keepAliveMsecs: KEEP_ALIVE_MS, noDelay: true };
    if (this.base.protocol === 'http:') {
      return {
        kept: new HttpAgent({ ...common, keepAlive: true, maxFreeSockets: this.options.connections }),
        fresh: new HttpAgent({ ...common, keepAlive: false }),
      };
    }
    const { caFile, verifyCertificate } = this.options;
    const tls = {
      ...common,
      rejectUnauthorized: verifyCertificate,
      ...(caFile === '' ? {} : { ca: await readCa(caFile) }),
    };
    return {
      kept: new HttpsAgent({ ...tls, keepAlive: true, maxFreeSockets: this.options.connections }),
      fresh: new HttpsAgent({ ...tls, keepAlive: false }),
    };
  }
}

/** The error that a reply stands for; its body is discarded. */
export async function refusal(reply: IncomingMessage): Promise<StatusError> {
  await discard(reply);
  return new StatusError(reply.statusCode ?? 0, reply.statusMessage, reply.headers.location);
}

/** Reads the rest of a reply, so that its connection can be used again; gives up when it is long or slow. */
async function discard(reply: IncomingMessage): Promise<void> {
  let bytes = 0;
  const reading = (async () => {
    for await (const chunk of reply) {
      bytes += (chunk as Buffer).length;
      if (bytes > MAX_DISCARDED_BYTES) return;
    }
  })();
  await orTimeout(reading, 5000, () => new Error('slow')).catch(() => reply.destroy());
}

async function readCa(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new BackupError(
      'invalid-config',
      `The CA file ${file} cannot be read: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
}
