import { redact } from '../logs/redact.ts';

const HIDDEN = '***';
/** Stands where a text was cut. */
const CUT = '…';

/** Shorter ones would hide parts of ordinary words. */
const LEAST_LENGTH = 5;
/** A shorter part of an address is a word rather than a secret. */
const LEAST_PART = 8;

/** A text without the secrets of a channel, and without all others that are known or look like one. */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  let safe = text;
  for (const secret of longestFirst(secrets)) safe = safe.replaceAll(secret, HIDDEN);
  return redact(withoutBeginnings(safe, secrets));
}

/** What others say is cut where it is long, perhaps in the middle of a secret. */
function withoutBeginnings(text: string, secrets: readonly string[]): string {
  const parts = text.split(CUT);
  const last = parts.pop() ?? '';
  return [...parts.map((part) => withoutBeginning(part, secrets)), last].join(CUT);
}

function withoutBeginning(part: string, secrets: readonly string[]): string {
  for (const secret of secrets) {
    for (let length = secret.length - 1; length >= LEAST_LENGTH; length -= 1) {
      if (part.endsWith(secret.slice(0, length))) return `${part.slice(0, -length)}${HIDDEN}`;
    }
  }
  return part;
}

/**
 * What only those may know of an address who may use it: all of it, and each part of its path and query that is long
 * enough to be a secret.
 */
export function secretsOfUrl(url: string): string[] {
  if (!URL.canParse(url)) return [url];
  const { pathname, search, searchParams, href, password } = new URL(url);
  const parts = [...pathname.split('/'), ...searchParams.values(), password];
  const decoded = parts.flatMap((part) => [part, decodedPart(part)]);
  return [url, href, `${pathname}${search}`, ...decoded.filter((part) => part.length >= LEAST_PART)];
}

function decodedPart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function longestFirst(secrets: readonly string[]): string[] {
  return [...new Set(secrets)]
    .filter((secret) => secret.length >= LEAST_LENGTH)
    .sort((one, other) => other.length - one.length);
}
