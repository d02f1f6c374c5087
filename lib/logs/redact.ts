/**
 * The last net for secrets: what is written down or shown is looked through for values that this process knows to be
 * secret, and for what looks like one. No code may count on it: secrets do not belong into texts in the first place.
 */

/** Shorter values would be found in ordinary words. */
const MIN_LENGTH = 6;
/**
 * Words of our own texts, which a weak password or the name of a topic may be, too: hidden everywhere they would leave
 * texts that say nothing, and still be guessed from these.
 */
const ORDINARY = new Set(
  'backup backups database databases dbackup default docker localhost mariadb mongodb node-red notifier password postgres postgresql production restore secret server sqlite storage'.split(
    ' ',
  ),
);
/** Lines of a key or certificate shorter than that say nothing. */
const MIN_LINE_LENGTH = 16;
/** As many as the credentials of a few hundred nodes; the oldest ones are forgotten first. */
const MAX_KNOWN = 2000;
const MASK = '***';
const VARIABLE = /^\$\{\S+\}$/;

const KNOWN: unique symbol = Symbol.for('@dbackup/node-red.secrets');

interface Known {
  readonly values: Set<string>;
  /** The same, the longest first: one may be part of another. */
  sorted?: readonly string[] | undefined;
}

interface SecretHolder {
  [KNOWN]?: Known;
}

/** Names of environment variables that hold secrets; those with `_FILE` hold the path of one. */
const SECRET_VARIABLE = /(?:^|_)(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|KEY|PGPASSWORD|MYSQL_PWD)$/;

/** Those that hold what everybody may know: fingerprints of hosts, and keys that only encrypt. */
const PUBLIC_VARIABLE = /(?:HOST|PUBLIC|PUB)_?KEY$/;

const PATTERNS: readonly (readonly [RegExp, string])[] = [
  // user:password@ of a URL; schemes are short, and a limit keeps long runs of letters and dots from taking time
  [/\b([a-z][a-z0-9+.-]{0,30}:\/\/[^\s/:@]*):[^\s/@]+@/gi, `$1:${MASK}@`],
  [
    /\b((?:proxy-)?authorization["']?\s*[:=]\s*["']?(?:basic|bearer|digest|negotiate|ntlm|token|aws4-hmac-sha256)\s)[^\r\n"']+/gi,
    `$1${MASK}`,
  ],
  [
    /(password|passwd|pwd|passphrase|secret|token|api[_-]?key|x-amz-signature|x-amz-security-token)=[^\s&;,"']+/gi,
    `$1=${MASK}`,
  ],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, MASK],
  [/AGE-SECRET-KEY-1[0-9A-Z]+/gi, MASK],
];

/**
 * Remembers a value that must not be shown, in memory only, with the forms that it takes in URLs and JSON; of a key in
 * several lines, each of them. Anything but a text of six characters or more is left alone, and so are words of our own
 * texts.
 * @returns the value
 */
export function knowSecret<Value>(value: Value): Value {
  if (typeof value !== 'string') return value;
  const whole = value.trim();
  // It stands for a secret, and is none.
  if (VARIABLE.test(whole)) return value;
  const lines = whole.includes('\n')
    ? whole.split(/\r?\n/).filter((line) => line.length >= MIN_LINE_LENGTH && !line.startsWith('-----'))
    : [];
  for (const secret of [whole, ...lines]) {
    remember(secret);
    remember(encodeURIComponent(secret.toWellFormed()));
    remember(JSON.stringify(secret).slice(1, -1));
  }
  return value;
}

/** Remembers the values of environment variables whose names tell that they are secrets. */
export function knowEnvironmentSecrets(env: Readonly<Record<string, string | undefined>>): void {
  for (const [name, value] of Object.entries(env)) {
    const upper = name.toUpperCase();
    if (SECRET_VARIABLE.test(upper) && !PUBLIC_VARIABLE.test(upper)) knowSecret(value);
  }
}

/** The text with `***` in place of every secret that is known or looks like one. */
export function redact(text: string): string {
  let safe = text;
  for (const secret of longestFirst()) safe = safe.replaceAll(secret, MASK);
  for (const [pattern, replacement] of PATTERNS) safe = safe.replace(pattern, replacement);
  return safe;
}

/** Forgets every secret; patterns are still replaced. */
export function forgetSecrets(): void {
  const secrets = known();
  secrets.values.clear();
  secrets.sorted = undefined;
}

function remember(secret: string): void {
  if (secret.length < MIN_LENGTH || ORDINARY.has(secret.toLowerCase())) return;
  const secrets = known();
  // Those that are used again shall outlast those that are not.
  if (!secrets.values.delete(secret)) secrets.sorted = undefined;
  secrets.values.add(secret);
  for (const oldest of secrets.values) {
    if (secrets.values.size <= MAX_KNOWN) break;
    secrets.values.delete(oldest);
  }
}

function longestFirst(): readonly string[] {
  const secrets = known();
  secrets.sorted ??= [...secrets.values].sort((one, other) => other.length - one.length);
  return secrets.sorted;
}

/** One for the process, however often this module is loaded. */
function known(): Known {
  const holder = globalThis as SecretHolder;
  holder[KNOWN] ??= { values: new Set() };
  return holder[KNOWN];
}
