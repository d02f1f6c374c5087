import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { type Refusal, refusal } from './refusal.ts';
import { HEX_SHA256 } from './timed-signature.ts';

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

/** In a time that depends on neither of them. */
function equalTexts(one: string, other: string): boolean {
  return timingSafeEqual(digest(one), digest(other));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
