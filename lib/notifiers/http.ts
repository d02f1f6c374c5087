import { readFileSync } from 'node:fs';
import { type ClientRequest, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { rootCertificates } from 'node:tls';
import { toBackupError } from '../errors.ts';
import { PRODUCT } from '../product.ts';
import { cleanLine } from './clean-text.ts';
import { DeliveryError } from './delivery-error.ts';
import { parseRetryAfter, retryAfterSeconds } from './retry-after.ts';

/** What is read of an answer, in bytes: what a service has to say is short. */
const LONGEST_ANSWER = 64 * 1024;
/** What an error quotes of it, in characters. */
const LONGEST_QUOTE = 200;
/** Errors of connections that say nothing against a second attempt. */
const CERTIFICATE_ERROR = /^(CERT_|ERR_TLS_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|INVALID_CA|ERR_SSL_)/;

export interface HttpRequest {
  readonly url: string;
  readonly method: 'POST' | 'PUT' | 'PATCH' | 'GET';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** A file with certificates of authorities to trust, beside those that the host trusts. */
  readonly caFile?: string | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  /** At most 64 KiB. */
  readonly text: string;
  readonly retryAfterMs: number | undefined;
}

/**
 * Sends a request over a connection of its own and reads the answer. It follows no redirect, since that might lead what
 * is secret in the request to somebody else.
 * @throws DeliveryError when there is no answer
 */
export function sendHttp(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
  const { url, method, headers = {}, body, caFile } = request;
  return new Promise((resolve, reject) => {
    const address = new URL(url);
    const fail = (error: unknown) => reject(connectionError(error, address.host));
    const secure = address.protocol === 'https:';
    const open = secure ? requestHttps : requestHttp;
    const trusted = secure && caFile !== undefined && caFile !== '' ? { ca: authorities(caFile) } : {};
    const options = {
      method,
      agent: false,
      signal,
      headers: {
        'User-Agent': `DBackup/${PRODUCT.version}`,
        ...(body === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(body)) }),
        ...headers,
      },
      ...trusted,
    };
    let sent: ClientRequest;
    try {
      sent = open(address, options);
    } catch (thrown) {
      // A header that cannot be sent is told of at once.
      return fail(thrown);
    }
    sent.on('error', fail);
    sent.on('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const done = () => {
        const { statusCode: status = 0, headers: answered } = response;
        const text = Buffer.concat(chunks).subarray(0, LONGEST_ANSWER).toString('utf8');
        resolve({ status, text, retryAfterMs: parseRetryAfter(answered['retry-after'], Date.now()) });
      };
      response.on('error', fail);
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.length;
        if (size < LONGEST_ANSWER) return;
        // Whatever else would come says nothing.
        done();
        sent.destroy();
      });
      response.on('end', done);
    });
    sent.end(body);
  });
}

/**
 * Accepts an answer with a status of 2xx.
 * @throws DeliveryError with what the service says, and how long it asks to wait
 */
export function requireSuccess(answer: HttpAnswer): void {
  const { status, text, retryAfterMs } = answer;
  if (status >= 200 && status < 300) return;
  if (status >= 300 && status < 400) {
    throw new DeliveryError(
      `it answers with a redirect (HTTP ${status}), which is not followed: give the address that it leads to`,
      { transient: false, code: 'invalid-config' },
    );
  }
  const transient = status === 408 || status === 425 || status === 429 || status >= 500;
  const code = status === 401 || status === 403 ? 'permission' : status === 404 ? 'not-found' : 'unavailable';
  throw new DeliveryError(`HTTP ${status}${quote(text)}`, { transient, code, retryAfterMs });
}

/** An answer that is not what the service gives: somebody else has answered, and nobody was notified. */
export function unexpectedAnswer({ status, text }: HttpAnswer): DeliveryError {
  return new DeliveryError(`HTTP ${status} with an answer that is not the service's${quote(text)}`, {
    transient: false,
  });
}

/** The beginning of an answer, to follow what it is about; empty when there is none. */
export function quote(text: string): string {
  const line = cleanLine(text.replaceAll(/<[^<>]*>/g, ' '), LONGEST_QUOTE);
  return line === '' ? '' : `: ${line}`;
}

/** The JSON object that an answer is, undefined when it is none. */
export function jsonObject({ text }: HttpAnswer): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/** How long the service asks to wait in a field of its JSON answer, in ms. */
export function retryHint(answer: HttpAnswer, ...path: readonly string[]): number | undefined {
  let value: unknown = jsonObject(answer);
  for (const name of path) {
    value =
      typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
  }
  return retryAfterSeconds(value);
}

/**
 * The authorities that the host trusts, and those of a file.
 * @throws BackupError when that cannot be read
 */
export function authorities(file: string): string[] {
  try {
    return [...rootCertificates, readFileSync(file, 'utf8')];
  } catch (thrown) {
    throw toBackupError(thrown, `The certificates in ${file} cannot be read`);
  }
}

function connectionError(thrown: unknown, host: string): DeliveryError {
  const { code = '', message } = thrown as NodeJS.ErrnoException;
  if (CERTIFICATE_ERROR.test(code) || /certificate|altname/i.test(message)) {
    return new DeliveryError(
      `the certificate of ${host} is not trusted (${message}): name the file of its authority, or mend the certificate`,
      { transient: false, code: 'permission', cause: thrown },
    );
  }
  if (code === 'ERR_INVALID_CHAR' || code === 'ERR_INVALID_HTTP_TOKEN') {
    return new DeliveryError('a header holds characters that headers must not have', {
      transient: false,
      code: 'invalid-config',
    });
  }
  return new DeliveryError(`no answer from ${host}: ${message || code}`, { transient: true, cause: thrown });
}
