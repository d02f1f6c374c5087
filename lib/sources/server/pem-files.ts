import { access, readFile } from 'node:fs/promises';
import { BackupError } from '../../errors.ts';
import type { TlsOptions } from './tls.ts';

/** Where systems keep the certificates of the authorities that they trust, as one PEM file. */
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/**
 * Path of the file with the authorities that this machine trusts; `SSL_CERT_FILE` names another one.
 * @throws BackupError `invalid-config` when there is none
 */
export async function systemAuthorities(): Promise<string> {
  for (const path of [process.env.SSL_CERT_FILE ?? '', ...SYSTEM_BUNDLES]) {
    if (path !== '' && (await isThere(path))) return path;
  }
  throw new BackupError(
    'invalid-config',
    'No authorities are known on this machine: set the CA file of the server, or install ca-certificates',
  );
}

/** @throws BackupError `invalid-config` when one of the two is missing */
export function requireKeyPair({ certFile, keyFile }: Pick<TlsOptions, 'certFile' | 'keyFile'>): void {
  if ((certFile === '') === (keyFile === '')) return;
  throw new BackupError(
    'invalid-config',
    'A client certificate and its key go together: set both files or none',
  );
}

/** What a connection of Node is given of these files; nothing of those without a path. */
export interface PemFiles {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** @throws BackupError `invalid-config` when a file cannot be read */
export async function readPemFiles(files: Omit<TlsOptions, 'tls'>): Promise<PemFiles> {
  const [ca, cert, key] = await Promise.all([
    readPem(files.caFile, 'CA file'),
    readPem(files.certFile, 'client certificate'),
    readPem(files.keyFile, "client certificate's key"),
  ]);
  return {
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

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
