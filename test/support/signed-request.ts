import { createHmac } from 'node:crypto';

/** A request that is signed with its time, as docs/webhooks.md says. @param at in seconds since 1970 */
export function signedRequest(body: string, secret: string, at = Math.floor(Date.now() / 1000)): RequestInit {
  const v1 = createHmac('sha256', secret).update(`${at}.${body}`).digest('hex');
  return { method: 'POST', headers: { 'x-dbackup-signature': `t=${at},v1=${v1}`, ...JSON_TYPE }, body };
}

/** One that bears a token. */
export function bearerRequest(body: string, token: string): RequestInit {
  return { method: 'POST', headers: { authorization: `Bearer ${token}`, ...JSON_TYPE }, body };
}

const JSON_TYPE = { 'content-type': 'application/json' };
