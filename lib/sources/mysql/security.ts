import type { SslOptions } from 'mysql2';
import { readPemFiles, requireKeyPair, systemAuthorities } from '../server/pem-files.ts';
import type { MysqlServer } from './options.ts';

/** How a connection is secured. */
export interface Security {
  readonly mode: MysqlServer['tls'];
  /** Empty: nothing is checked. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/**
 * What the settings of a server mean. A Unix socket stays on this machine and has no TLS.
 * @throws BackupError `invalid-config`
 */
export async function securityOf(server: MysqlServer): Promise<Security> {
  const { tls: mode, certFile, keyFile } = server;
  if (mode === 'off' || server.host.startsWith('/')) {
    return { mode: 'off', caFile: '', certFile: '', keyFile: '' };
  }
  requireKeyPair(server);
  const isChecked = mode === 'verify-ca' || mode === 'verify-full';
  const caFile = isChecked ? server.caFile || (await systemAuthorities()) : '';
  return { mode, caFile, certFile, keyFile };
}

/**
 * The same for mysql2; undefined: no TLS.
 * @throws BackupError `invalid-config` when a file cannot be read
 */
export async function sessionTls(security: Security): Promise<SslOptions | undefined> {
  const { mode } = security;
  if (mode === 'off') return undefined;
  return {
    rejectUnauthorized: mode === 'verify-ca' || mode === 'verify-full',
    verifyIdentity: mode === 'verify-full',
    ...(await readPemFiles(security)),
  };
}

/**
 * The same as options of the tools, whose names differ between the flavours.
 * @param through what a tool finds: whether our own connection was encrypted, so that `prefer` is decided
 *   once, and whether the tool connects to a tunnel, whose address no certificate names
 */
export function toolTls(
  { mode, caFile, certFile, keyFile }: Security,
  flavour: 'mariadb' | 'mysql',
  through: { readonly encrypted: boolean; readonly tunnel: boolean },
): Record<string, string> {
  const files = {
    ...(caFile === '' ? {} : { 'ssl-ca': caFile }),
    ...(certFile === '' ? {} : { 'ssl-cert': certFile, 'ssl-key': keyFile }),
  };
  const namesHost = mode === 'verify-full' && !through.tunnel;
  if (flavour === 'mariadb') {
    if (!through.encrypted) return { ssl: '0' };
    return { ssl: '1', 'ssl-verify-server-cert': namesHost ? '1' : '0', ...files };
  }
  if (!through.encrypted) return { 'ssl-mode': 'DISABLED', 'get-server-public-key': '1' };
  if (namesHost) return { 'ssl-mode': 'VERIFY_IDENTITY', ...files };
  return { 'ssl-mode': caFile === '' ? 'REQUIRED' : 'VERIFY_CA', ...files };
}
