import { createHmac, timingSafeEqual } from 'node:crypto';
import { type Refusal, refusal } from './refusal.ts';

/*
 * `X-DBackup-Signature: t=<seconds since 1970>,v1=<hex>`, the HMAC-SHA256 of `<t>.<body>`, of webhooks that come in and
 * of those that go out: docs/webhooks.md.
 */

/** Of the header. */
export const TIMED_SIGNATURE = 'X-DBackup-Signature';
export const HEX_SHA256 = /^[0-9a-f]{64}$/i;

export interface TimedSignature {
  /** When it was made, in seconds since 1970. */
  readonly time: number;
  /** The body's HMAC-SHA256 with the secret, over `<time>.<body>`. */
  readonly signature: Buffer;
}

/**
 * The value of the header: a receiver that checks time and signature takes no old request again.
 * @param now in ms since 1970
 */
export function timedSignature(body: string, secret: string, now: number): string {
  const time = String(Math.floor(now / 1000));
  return `t=${time},v1=${hmac(time, Buffer.from(body), secret).toString('hex')}`;
}

/** Checks the header. Whether the time is right is not looked at. Of several `v1` one must fit, so that a sender may change its secret. */
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
    const form = `"${TIMED_SIGNATURE}: t=<seconds since 1970>,v1=<hex>"`;
    return refusal(401, 'missing', `Send the time and the signature of the body as ${form}`);
  }
  const signature = hmac(time, body, secret);
  const fits = given.map((value) => timingSafeEqual(Buffer.from(value, 'hex'), signature));
  if (fits.includes(true)) return { time: Number(time), signature };
  return refusal(401, 'wrong', 'The signature does not fit the time and the body');
}

function hmac(time: string, body: Uint8Array, secret: string): Buffer {
  return createHmac('sha256', secret).update(`${time}.`).update(body).digest();
}
