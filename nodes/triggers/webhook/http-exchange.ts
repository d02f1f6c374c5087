import { BackupError } from '../../../lib/errors.ts';
import type { BackupMessage } from '../../define-node.ts';

/** The request and the response that a message of an HTTP In node carries, as far as they are used. */
export interface HttpExchange {
  /** A header of the request. */
  header(name: string): string | undefined;
  /** Answers in JSON, unless somebody has answered already. */
  answer(status: number, body: object, headers?: Readonly<Record<string, string>>): void;
}

interface Request {
  readonly headers: Record<string, string | string[] | undefined>;
  readonly rawHeaders?: string[];
}

/** Express's, which Node-RED wraps. */
interface Response {
  readonly headersSent: boolean;
  status(code: number): Response;
  set(headers: Readonly<Record<string, string>>): Response;
  json(body: object): void;
}

/**
 * What an HTTP In node has sent.
 * @throws BackupError `invalid-config` for a message of another node
 */
export function httpExchange({ req, res }: BackupMessage): HttpExchange {
  if (!isRequest(req) || !isWrapped(res)) {
    throw new BackupError(
      'invalid-config',
      'The message does not come from an HTTP In node (msg.req and msg.res are missing): wire one before this node',
    );
  }
  const response = res._res;
  return {
    header(name) {
      const value = req.headers[name];
      return Array.isArray(value) ? value.join(',') : value;
    },
    answer(status, body, headers = {}) {
      if (!response.headersSent)
        response
          .status(status)
          .set({ 'cache-control': 'no-store', ...headers })
          .json(body);
    },
  };
}

/**
 * The message without the request, whose headers hold the token, and its cookies: later nodes show messages. The response
 * stays, so that they can answer.
 */
export function withoutRequest({
  req,
  cookies: _,
  ...message
}: BackupMessage & { cookies?: unknown }): BackupMessage {
  // The response knows the request, too, and a debug node shows all of it.
  if (isRequest(req)) forgetToken(req);
  return message;
}

function forgetToken({ headers, rawHeaders = [] }: Request): void {
  delete headers.authorization;
  // Names and values by turns.
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    if (rawHeaders[at]?.toLowerCase() === 'authorization') rawHeaders[at + 1] = '***';
  }
}

function isRequest(value: unknown): value is Request {
  return (
    typeof value === 'object' && value !== null && 'headers' in value && typeof value.headers === 'object'
  );
}

function isWrapped(value: unknown): value is { readonly _res: Response } {
  return typeof value === 'object' && value !== null && '_res' in value && typeof value._res === 'object';
}
