import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';

/** A request that the server has got, whole. */
export interface RecordedRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** How a request is answered. */
export interface ScriptedAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** What a request meets: an answer, no answer at all, a connection that breaks, an answer that never ends. */
export type Behaviour = ScriptedAnswer | 'hang' | 'reset' | 'trickle';

/** A server that records what it gets and misbehaves as a test wants. */
export class RecordingHttp {
  readonly requests: RecordedRequest[] = [];
  readonly url: string;
  /** What the next requests meet, one after the other; after that `usual`. */
  readonly next: Behaviour[] = [];
  usual: Behaviour = {};
  /** The same by the path of the request, when it is given. */
  choose: ((path: string) => Behaviour) | undefined;
  readonly #server: ReturnType<typeof createServer>;
  readonly #trickling = new Set<NodeJS.Timeout>();
  readonly #hanging = new Set<ServerResponse>();

  private constructor(server: ReturnType<typeof createServer>, url: string) {
    this.#server = server;
    this.url = url;
  }

  /** @param tls PEM of a certificate and its key */
  static async start(tls?: { readonly cert: string; readonly key: string }): Promise<RecordingHttp> {
    let recorder: RecordingHttp | undefined;
    const listener: RequestListener = (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('error', () => undefined);
      request.on('end', () => {
        recorder?.requests.push({
          method: request.method ?? '',
          path: request.url ?? '',
          headers: request.headers,
          body: Buffer.concat(chunks).toString('utf8'),
        });
        recorder?.answer(response, request.url ?? '');
      });
    };
    const server = tls === undefined ? createServer(listener) : createSecureServer(tls, listener);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    recorder = new RecordingHttp(server, `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`);
    return recorder;
  }

  answer(response: ServerResponse, path: string): void {
    const behaviour = this.next.shift() ?? this.choose?.(path) ?? this.usual;
    if (behaviour === 'hang') {
      this.#hanging.add(response);
      response.on('close', () => this.#hanging.delete(response));
      return;
    }
    if (behaviour === 'reset') {
      response.socket?.resetAndDestroy();
      return;
    }
    if (behaviour === 'trickle') {
      response.writeHead(200);
      const timer = setInterval(() => response.write('.'), 20);
      this.#trickling.add(timer);
      response.on('close', () => clearInterval(timer));
      return;
    }
    const { status = 200, headers = {}, body = '' } = behaviour;
    response.writeHead(status, headers);
    response.end(body);
  }

  /** Requests that hang now: whoever sent them still waits. */
  get hanging(): number {
    return this.#hanging.size;
  }

  /** Answers all that hang with success. */
  release(): void {
    for (const response of this.#hanging) response.end();
  }

  async close(): Promise<void> {
    for (const timer of this.#trickling) clearInterval(timer);
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}
