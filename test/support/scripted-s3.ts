import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

/** A request as the server received it. */
export interface S3Request {
  readonly method: string;
  /** With the bucket, decoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly bytes: number;
}

/** `cut`: the connection is closed without an answer, after the request was taken. */
export type S3Answer =
  | { readonly status?: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  | 'cut';

export interface ScriptedS3 {
  readonly endpoint: string;
  readonly requests: readonly S3Request[];
  /** What came, shortly: `PUT /bucket/a`. */
  readonly log: readonly string[];
  close(): Promise<void>;
}

/** A server that answers as the test says: for answers that no real server gives when one wants them. */
export async function startScriptedS3(answer: (request: S3Request) => S3Answer): Promise<ScriptedS3> {
  const requests: S3Request[] = [];
  const server = createServer((incoming, response) => {
    receive(incoming).then(
      (request) => {
        requests.push(request);
        reply(response, request, answer(request));
      },
      () => response.destroy(),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    requests,
    get log() {
      return requests.map(({ method, path, query }) => [method, path, ...operationOf(query)].join(' '));
    },
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** The body of an error. */
export function s3Error(code: string, message = 'said the server', more = ''): string {
  return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${message}</Message>${more}<RequestId>R1</RequestId></Error>`;
}

async function receive(incoming: IncomingMessage): Promise<S3Request> {
  let bytes = 0;
  for await (const chunk of incoming) bytes += (chunk as Buffer).length;
  const url = new URL(incoming.url ?? '/', 'http://server');
  return {
    method: incoming.method ?? '',
    path: decodeURIComponent(url.pathname),
    query: url.searchParams,
    headers: incoming.headers,
    bytes,
  };
}

function reply(response: ServerResponse, request: S3Request, answer: S3Answer): void {
  if (answer === 'cut') {
    response.socket?.destroy();
    return;
  }
  const { status = 200, headers = {}, body = '' } = answer;
  response.writeHead(status, { 'content-type': 'application/xml', ...headers });
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** What of a query tells operations apart. */
function operationOf(query: URLSearchParams): string[] {
  return ['uploads', 'uploadId', 'partNumber', 'list-type', 'legal-hold'].filter((name) => query.has(name));
}
