import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { type Refusal, refusal } from './refusal.ts';

const HEX_SHA256 = /^[0-9a-f]{64}$/i;

/**
 * Checks `Authorization: Bearer <token>` (RFC 6750).
 * @returns why it is refused; undefined when it is right
 */
export function checkBearer(header: string | undefined, token: string): Refusal | undefined {
  const given = /^bearer +(\S+) *$/i.exec(header ?? '')?.[1];
  if (given === undefined) {
    return refusal(401, 'missing', 'Send the token as "Authorization: Bearer <token>"');
  }
  return equalTexts(given, token) ? undefined : refusal(401, 'wrong', 'The token is wrong');
}

/**
 * Checks `X-Hub-Signature-256: sha256=<hex>`, the HMAC-SHA256 of the body, as GitHub signs its webhooks
 * (docs.github.com, "Validating webhook deliveries"). It says nothing of when it was made: whoever sees a request can send
 * it again.
 * @param body its bytes, as they came
 */
export function checkHubSignature(
  header: string | undefined,
  body: Uint8Array,
  secret: string,
): Refusal | undefined {
  const given = /^sha256=(\S+)$/.exec(header?.trim() ?? '')?.[1];
  if (given === undefined || !HEX_SHA256.test(given)) {
    return refusal(401, 'missing', 'Send the signature of the body as "X-Hub-Signature-256: sha256=<hex>"');
  }
  const expected = createHmac('sha256', secret).update(body).digest();
  if (timingSafeEqual(Buffer.from(given, 'hex'), expected)) return undefined;
  return refusal(401, 'wrong', 'The signature does not fit the body');
}

export interface TimedSignature {
  /** When it was made, in seconds since 1970. */
  readonly time: number;
  /** The body's HMAC-SHA256 with the secret, over `<time>.<body>`. */
  readonly signature: Buffer;
}

/**
 * Checks `X-DBackup-Signature: t=<seconds since 1970>,v1=<hex>`, the HMAC-SHA256 of `<t>.<body>`. Whether the time is
 * right is not looked at. Of several `v1` one must fit, so that a sender may change its secret.
 */
export function checkTimedSignature(
  header: string | undefined,
  body: Uint8Array,
  secret: string,
): TimedSignature | Refusal {
  const parts = (header ?? '').split(',').map((part) => part.trim().split('='));
  const valuesOf = (name: string) => parts.flatMap(([key, value]) => (key === name ? [value ?? ''] : []));
  const [time = '', ...otherTimes] = valuesOf('t');
  const given = valuesOf('v1').filter((value) => HEX_SHA256.test(value));
  if (!/^\d{1,12}$/.test(time) || otherTimes.length > 0 || given.length === 0) {
    const form = '"X-DBackup-Signature: t=<seconds since 1970>,v1=<hex>"';
    return refusal(401, 'missing', `Send the time and the signature of the body as ${form}`);
  }
  const signature = createHmac('sha256', secret).update(`${time}.`).update(body).digest();
  const fits = given.map((value) => timingSafeEqual(Buffer.from(value, 'hex'), signature));
  if (fits.includes(true)) return { time: Number(time), signature };
  return refusal(401, 'wrong', 'The signature does not fit the time and the body');
}

/** In a time that depends on neither of them. */
function equalTexts(one: string, other: string): boolean {
  return timingSafeEqual(digest(one), digest(other));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
