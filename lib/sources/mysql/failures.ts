import { BackupError, type ErrorCode } from '../../errors.ts';

interface Cause {
  readonly code: ErrorCode;
  readonly transient: boolean;
}

/**
 * Error numbers of the servers and their client libraries, by what a person can do about them.
 * https://mariadb.com/kb/en/mariadb-error-codes/, https://dev.mysql.com/doc/mysql-errors/en/
 */
const NUMBERS: readonly { readonly cause: Cause; readonly numbers: readonly number[] }[] = [
  {
    // Sign-in, accounts that are locked or expired, hosts that may not connect, missing privileges.
    cause: { code: 'permission', transient: false },
    numbers: [
      1044, 1045, 1130, 1142, 1143, 1227, 1251, 1370, 1396, 1410, 1449, 1698, 1820, 1862, 2059, 2061, 3118,
      3159, 3955, 4151,
    ],
  },
  {
    cause: { code: 'not-found', transient: false },
    numbers: [1049, 1051, 1133, 1141, 1146, 1305, 1347, 3162],
  },
  { cause: { code: 'already-exists', transient: false }, numbers: [1007, 1050, 1304] },
  { cause: { code: 'no-space', transient: false }, numbers: [1021, 1114] },
  { cause: { code: 'corrupt', transient: false }, numbers: [1034, 1035, 1194, 1195, 1712] },
  {
    // Too many connections, waits that were too long, a server that goes down, a connection that was cut.
    cause: { code: 'unavailable', transient: true },
    numbers: [
      1040, 1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1205, 1213, 1226, 1317, 1412,
      1927, 1969, 2002, 2003, 2006, 2013, 2055, 3024, 3169, 4031,
    ],
  },
  { cause: { code: 'unavailable', transient: false }, numbers: [1129, 2005, 2026] },
];

/** What Node and mysql2 say when a connection cannot be made or breaks. */
const BROKEN = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
  'PROTOCOL_CONNECTION_LOST',
]);

const BY_NUMBER = new Map(
  NUMBERS.flatMap(({ cause, numbers }) => numbers.map((number) => [number, cause] as const)),
);

/** What an error number of MySQL or MariaDB means; undefined for one that says nothing about the server. */
export function causeOfNumber(number: number): Cause | undefined {
  return BY_NUMBER.get(number);
}

/** An error of mysql2, as one that a person can act on. */
export function mysqlFailure(thrown: unknown, subject: string): BackupError {
  if (thrown instanceof BackupError) return thrown;
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const { code, errno } = error as NodeJS.ErrnoException;
  const said = error.message === '' ? (code ?? 'unknown error') : error.message;
  const message = `${subject}: ${said}${hint(code, errno)}`;
  const { code: kind, transient } = causeOf(code, errno);
  return new BackupError(kind, message, { transient, cause: thrown });
}

/** The first error number that a tool named: `Got error: 1045: "Access denied`, `ERROR 2013 (HY000)`, `… (1356)`. */
export function numberIn(text: string): number | undefined {
  const found = /\berror:? (\d{4})\b|\((\d{4})\)/i.exec(text);
  return found === null ? undefined : Number(found[1] ?? found[2]);
}

/** How TLS says that a connection has ended: with the number of a handshake that failed. */
const BROKEN_TLS =
  /connection (?:reset|closed|timed out)|broken pipe|unexpected eof|eof (?:was )?observed|success/i;

const SLOW_READER =
  ' (should a destination have taken nothing for longer than net_write_timeout of the server, raise that)';

/** The failure of a tool, under the class that the server's own error number gives it. */
export function toolFailure(failure: BackupError): BackupError {
  const { message } = failure;
  const number = numberIn(message);
  const cause = number === undefined ? undefined : causeOfNumber(number);
  if (cause === undefined) return failure;
  const isBroken = number === 2026 && BROKEN_TLS.test(message);
  const isLate = (isBroken || number === 2013) && message.includes('when dumping table');
  return new BackupError(cause.code, `${message}${isLate ? SLOW_READER : ''}`, {
    transient: cause.transient || isBroken,
    cause: failure,
  });
}

function causeOf(code: string | undefined, errno: number | undefined): Cause {
  const known = errno === undefined || errno < 1000 ? undefined : causeOfNumber(errno);
  if (known !== undefined) return known;
  if (code !== undefined && BROKEN.has(code)) return { code: 'unavailable', transient: true };
  if (code?.startsWith('ER_') === true) return { code: 'incomplete', transient: false };
  return { code: 'unavailable', transient: false };
}

function hint(code: string | undefined, errno: number | undefined): string {
  if (errno === 1045 || errno === 1698) return ': check user and password in the server node';
  if (errno === 1130) return ': create the user for the host that it connects from';
  if (code === 'HANDSHAKE_NO_SSL_SUPPORT') return ': turn TLS on there, or choose another TLS mode';
  if (code === 'ENOENT') return ': check the path of the socket';
  if (code === 'HANDSHAKE_SSL_ERROR') return ': check the CA file, the host name and the TLS mode';
  return '';
}
