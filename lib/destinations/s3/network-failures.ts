import type { Meaning } from './meanings.ts';

/** The host is there but does not serve, or the connection ended: worth another try. */
const PASSING: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'the connection was cut',
  EPIPE: 'the connection was cut',
  ECONNABORTED: 'the connection was cut',
  ERR_STREAM_PREMATURE_CLOSE: 'the connection was cut',
  ETIMEDOUT: 'the connection timed out',
  EHOSTUNREACH: 'there is no route to the host',
  ENETUNREACH: 'there is no route to its network',
  EHOSTDOWN: 'the host is down',
  ENETDOWN: 'the network is down',
  EAI_AGAIN: 'the name service does not answer',
};

const UNTRUSTED = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'INVALID_CA',
]);

/** True for what happened before there was an answer: name service, connection, TLS, HTTP. */
export function isNetworkError(error: Error): boolean {
  if (error.name === 'CredentialsProviderError') return false;
  return describe(codeOf(error)) !== undefined || isTimeout(error);
}

export function networkMeaning(error: Error, server: string): Meaning {
  const { text, transient } = describe(codeOf(error)) ?? { text: 'it does not answer', transient: true };
  return {
    code: transient ? 'unavailable' : 'invalid-config',
    text: `${server} cannot be reached: ${text}`,
    transient,
  };
}

function codeOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  return typeof code === 'string' ? code : '';
}

function describe(code: string): { text: string; transient: boolean } | undefined {
  const passing = PASSING[code];
  if (passing !== undefined) return { text: `${passing} (${code})`, transient: true };
  const text = describeLasting(code);
  return text === undefined ? undefined : { text: `${text} (${code})`, transient: false };
}

function describeLasting(code: string): string | undefined {
  if (code === 'ENOTFOUND') return 'there is no host of that name: correct the endpoint or region';
  if (UNTRUSTED.has(code))
    return 'its certificate is not signed by a known authority: set the CA file of the storage';
  if (code === 'CERT_HAS_EXPIRED') return 'its certificate has expired: have it renewed';
  if (code === 'CERT_NOT_YET_VALID') return 'its certificate is not valid yet: check the clock of this host';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return 'its certificate is for another host name: correct the endpoint';
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) {
    return 'it does not speak TLS there: should the endpoint begin with http://?';
  }
  if (code.startsWith('HPE_'))
    return 'it does not speak HTTP there: should the endpoint begin with https://?';
  return undefined;
}

function isTimeout(error: Error): boolean {
  return error.name === 'TimeoutError' && (error as { $metadata?: unknown }).$metadata === undefined;
}
