import { createHash, randomBytes } from 'node:crypto';

/** A server's demand for a proof of the password (RFC 7616, section 3.3). */
interface Challenge {
  readonly realm: string;
  readonly nonce: string;
  readonly opaque: string | undefined;
  readonly qop: 'auth' | undefined;
  readonly algorithm: string;
}

const HASHES: Readonly<Record<string, string>> = {
  md5: 'md5',
  'md5-sess': 'md5',
  'sha-256': 'sha256',
  'sha-256-sess': 'sha256',
};

/** Digest authentication: proves the password for each request without sending it. */
export class DigestAuth {
  readonly #user: string;
  readonly #password: string;
  #challenge: Challenge | undefined;
  #count = 0;

  constructor(user: string, password: string) {
    this.#user = user;
    this.#password = password;
  }

  /**
   * Takes the challenge of a 401 over.
   * @param headers the values of WWW-Authenticate
   * @returns false when there is none that can be answered
   */
  accept(headers: readonly string[]): boolean {
    const challenges = headers.flatMap((header) => parseChallenge(header) ?? []);
    // The strongest first.
    const [best] = challenges.sort((a, b) => rank(b) - rank(a));
    if (best === undefined) return false;
    this.#challenge = best;
    this.#count = 0;
    return true;
  }

  /**
   * The Authorization header; undefined before the first challenge.
   * @param cnonce what we add to the server's nonce, never the same twice
   */
  header(method: string, path: string, cnonce = randomBytes(16).toString('hex')): string | undefined {
    const challenge = this.#challenge;
    if (challenge === undefined) return undefined;
    this.#count += 1;
    const { realm, nonce, opaque, qop, algorithm } = challenge;
    const hash = (text: string) =>
      createHash(HASHES[algorithm.toLowerCase()] as string)
        .update(text)
        .digest('hex');
    const nc = this.#count.toString(16).padStart(8, '0');
    const base = hash(`${this.#user}:${realm}:${this.#password}`);
    const a1 = algorithm.toLowerCase().endsWith('-sess') ? hash(`${base}:${nonce}:${cnonce}`) : base;
    const a2 = hash(`${method}:${path}`);
    const response = hash(
      qop === undefined ? `${a1}:${nonce}:${a2}` : `${a1}:${nonce}:${nc}:${cnonce}:${qop}:${a2}`,
    );
    const fields = [
      `username=${quoted(this.#user)}`,
      `realm=${quoted(realm)}`,
      `nonce=${quoted(nonce)}`,
      `uri=${quoted(path)}`,
      `algorithm=${algorithm}`,
      `response="${response}"`,
      ...(qop === undefined ? [] : [`qop=${qop}`, `nc=${nc}`, `cnonce="${cnonce}"`]),
      ...(opaque === undefined ? [] : [`opaque=${quoted(opaque)}`]),
    ];
    return `Digest ${fields.join(', ')}`;
  }
}

/** The first Digest challenge in a header; undefined for others and for those that cannot be answered. */
function parseChallenge(header: string): Challenge | undefined {
  const begin = /(?:^|,\s*)digest\s+/i.exec(header);
  if (begin === null) return undefined;
  const fields = new Map<string, string>();
  const pattern = /\s*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)/y;
  pattern.lastIndex = begin.index + begin[0].length;
  for (let match = pattern.exec(header); match !== null; match = pattern.exec(header)) {
    const [, name = '', inQuotes, token] = match;
    fields.set(name.toLowerCase(), inQuotes?.replace(/\\(.)/g, '$1') ?? token ?? '');
  }
  const [realm, nonce, algorithm = 'MD5'] = [
    fields.get('realm'),
    fields.get('nonce'),
    fields.get('algorithm'),
  ];
  const offered = fields
    .get('qop')
    ?.split(',')
    .map((each) => each.trim().toLowerCase());
  if (realm === undefined || nonce === undefined || HASHES[algorithm.toLowerCase()] === undefined)
    return undefined;
  if (offered !== undefined && !offered.includes('auth')) return undefined;
  return {
    realm,
    nonce,
    algorithm,
    opaque: fields.get('opaque'),
    qop: offered === undefined ? undefined : 'auth',
  };
}

function rank({ algorithm }: Challenge): number {
  return algorithm.toLowerCase().startsWith('sha-256') ? 1 : 0;
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}
