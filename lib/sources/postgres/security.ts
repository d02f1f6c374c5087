import { isIP } from 'node:net';
import { type ConnectionOptions, checkServerIdentity } from 'node:tls';
import { readPemFiles, requireKeyPair, systemAuthorities } from '../server/pem-files.ts';
import type { PostgresServer } from './options.ts';

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
  requireKeyPair(server);
  switch (tls) {
    case 'off':
      return { mode: 'disable', caFile: '', certFile: '', keyFile: '' };
    case 'prefer':
      return { mode: 'prefer', caFile: '', certFile, keyFile };
    case 'require':
      return { mode: caFile === '' ? 'require' : 'verify-ca', caFile, certFile, keyFile };
    default:
      return { mode: tls, caFile: caFile === '' ? await systemAuthorities() : caFile, certFile, keyFile };
  }
}

/**
 * The same for Node's TLS.
 * @param serverName what the certificate must name, for `verify-full`
 * @throws BackupError `invalid-config` when a file cannot be read
 */
export async function nodeTls(security: Security, serverName: string): Promise<ConnectionOptions | false> {
  const { mode } = security;
  if (mode === 'disable') return false;
  return {
    rejectUnauthorized: mode === 'verify-ca' || mode === 'verify-full',
    checkServerIdentity: (_host, certificate) =>
      mode === 'verify-full' ? checkServerIdentity(serverName, certificate) : undefined,
    ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
    ...(await readPemFiles(security)),
  };
}
