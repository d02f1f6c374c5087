import type { ClientRequest, IncomingMessage } from 'node:http';
import { orAbort, orTimeout, settled } from '../../abort.ts';
import { BLOCK_BYTES } from '../../bytes/stream.ts';
import { abortError } from '../../errors.ts';
import { refusal, type WebdavClient } from './client.ts';

/** Most bytes that wait in memory for the network. */
const MAX_IN_FLIGHT_BYTES = 4 * BLOCK_BYTES;
/** How long a server may take, after the last byte, to write its caches through, in ms. */
const FINAL_REPLY_MS = 10 * 60_000;
/** How long the reply may take that explains why a connection broke, in ms. */
const LAST_WORD_MS = 2000;
/** The same when the upload is cancelled, which must not take long. */
const FAREWELL_MS = 500;

/** One PUT whose length is not known when it begins. */
export class Upload {
  readonly #client: WebdavClient;
  readonly #request: ClientRequest;
  readonly #signal: AbortSignal;
  readonly #reply: Promise<IncomingMessage>;
  /** Aborts when the upload cannot go on, with the reason as it came. */
  readonly #failing = new AbortController();
  readonly #stop: AbortSignal;
  #inFlight = 0;
  #progress: (() => void) | undefined;

  private constructor(client: WebdavClient, request: ClientRequest, signal: AbortSignal) {
    this.#client = client;
    this.#request = request;
    this.#signal = signal;
    this.#stop = AbortSignal.any([signal, this.#failing.signal]);
    this.#reply = new Promise((resolve, reject) => {
      request.once('response', resolve);
      request.on('error', reject);
    });
    this.#reply.then(
      () => {
        // A server that answers before the end wants no more.
        if (!request.writableEnded) this.#failing.abort(new Error('The server answered before the end'));
      },
      (error: unknown) => this.#failing.abort(error),
    );
  }

  static async start(client: WebdavClient, url: URL, signal: AbortSignal): Promise<Upload> {
    const headers = { 'Content-Type': 'application/octet-stream', 'Transfer-Encoding': 'chunked' };
    return new Upload(client, await client.begin('PUT', url, headers), signal);
  }

  /** Waits for work that is not the server's, such as the next chunk of a producer. */
  async whileGoing<T>(work: Promise<T>): Promise<T> {
    return await this.#until(work);
  }

  /** Sends a chunk; resolves when there is room for the next one. */
  async send(chunk: Buffer, sent: (chunk: Buffer) => void): Promise<void> {
    this.#inFlight += chunk.length;
    this.#request.write(chunk, (error) => {
      if (error) this.#failing.abort(error);
      this.#inFlight -= chunk.length;
      sent(chunk);
      this.#progress?.();
    });
    while (this.#inFlight > MAX_IN_FLIGHT_BYTES) {
      const progress = new Promise<void>((resolve) => {
        this.#progress = resolve;
      });
      const limitMs = this.#client.timeoutMs;
      await this.#until(orTimeout(progress, limitMs, () => this.#client.stalled('took', limitMs)));
    }
  }

  /** After the last byte: resolves when the server says that it holds them all. @throws its refusal */
  async finish(): Promise<void> {
    this.#request.end();
    const late = () => this.#client.stalled('confirmed', FINAL_REPLY_MS);
    const reply = await this.#until(orTimeout(this.#reply, FINAL_REPLY_MS, late));
    const status = reply.statusCode ?? 0;
    if (status < 200 || status > 299) throw await refusal(reply);
    reply.resume();
  }

  /** Ends it at once; resolves with why it failed: the server's reason rather than that of the socket. */
  async fail(error: unknown): Promise<unknown> {
    const { aborted, reason } = this.#failing.signal;
    if (this.#signal.aborted) {
      // With all bytes on their way the server may still make a file of them: its answer comes before the clean-up.
      if (this.#request.writableEnded) await settled(this.#reply, FAREWELL_MS);
      this.#request.destroy();
      return abortError(this.#signal);
    }
    const explained = aborted && error === reason ? await this.#explanation() : undefined;
    this.#request.destroy();
    return explained ?? error;
  }

  async #explanation(): Promise<unknown> {
    const late = () => new Error('late');
    const reply = await orTimeout(this.#reply, LAST_WORD_MS, late).catch(() => undefined);
    return reply === undefined || (reply.statusCode ?? 0) < 300 ? undefined : await refusal(reply);
  }

  /** Waits for the work, and for nothing any more once the upload has failed or is aborted. */
  async #until<T>(work: Promise<T>): Promise<T> {
    try {
      return await orAbort(work, this.#stop);
    } catch (error) {
      if (this.#signal.aborted || !this.#failing.signal.aborted) throw error;
      throw this.#failing.signal.reason;
    }
  }
}
