import { access, readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { type ConnectionOptions, checkServerIdentity } from 'node:tls';
import { BackupError } from '../../errors.ts';
import type { PostgresServer } from './options.ts';

/** Where systems keep the authorities that they trust. */
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** How connections are secured, in the words of libpq (`sslmode`, chapter 34.19 of the PostgreSQL documentation). */
export interface Security {
  readonly mode: 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';
  /** Empty: nothing is checked. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/**
 * What the settings of a server mean. As in libpq a Unix socket has no TLS, and `require` with a CA file
 * checks the certificate's authority.
 * @throws BackupError `invalid-config`
 */
export async function securityOf(server: PostgresServer): Promise<Security> {
  const { tls, caFile, certFile, keyFile } = server;
  if (server.host.startsWith('/')) return { mode: 'disable', caFile: '', certFile: '', keyFile: '' };
  if ((certFile === '') !== (keyFile === '')) {
    throw new BackupError(
      'invalid-config',
      'A client certificate and its key go together: set both files or none',
    );
  }
  switch (tls) {
    case 'off':
      return { mode: 'disable', caFile: '', certFile: '', keyFile: '' };
    case 'prefer':
      return { mode: 'prefer', caFile: '', certFile, keyFile };
    case 'require':
      return { mode: caFile === '' ? 'require' : 'verify-ca', caFile, certFile, keyFile };
    default:
      return { mode: tls, caFile: caFile === '' ? await systemBundle() : caFile, certFile, keyFile };
  }
}

/**
 * The same for Node's TLS.
 * @param serverName what the certificate must name, for `verify-full`
 * @throws BackupError `invalid-config` when a file cannot be read
 */
export async function nodeTls(security: Security, serverName: string): Promise<ConnectionOptions | false> {
  const { mode, caFile, certFile, keyFile } = security;
  if (mode === 'disable') return false;
  const [ca, cert, key] = await Promise.all([
    readPem(caFile, 'CA file'),
    readPem(certFile, 'client certificate'),
    readPem(keyFile, "client certificate's key"),
  ]);
  return {
    rejectUnauthorized: mode === 'verify-ca' || mode === 'verify-full',
    checkServerIdentity: (_host, certificate) =>
      mode === 'verify-full' ? checkServerIdentity(serverName, certificate) : undefined,
    ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

async function readPem(path: string, role: string): Promise<Buffer | undefined> {
  if (path === '') return undefined;
  try {
    return await readFile(path);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new BackupError('invalid-config', `The ${role} ${path} cannot be read: ${why}`, { cause });
  }
}

async function systemBundle(): Promise<string> {
  for (const path of [process.env.SSL_CERT_FILE ?? '', ...SYSTEM_BUNDLES]) {
    if (path !== '' && (await isReadable(path))) return path;
  }
  throw new BackupError(
    'invalid-config',
    'No authorities are known on this machine: set the CA file of the server, or install ca-certificates',
  );
}

async function isReadable(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
