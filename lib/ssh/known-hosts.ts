import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BackupError, toBackupError } from '../errors.ts';
import { withFileLock } from '../file-lock.ts';

/** Remembers the keys of hosts that were trusted at their first connection. */
export interface KnownHosts {
  /** Where they are remembered, for people. */
  readonly place: string;
  /** SHA-256 fingerprints of the keys that are known of a host; none when it is new. */
  fingerprintsOf(host: string, port: number): Promise<readonly string[]>;
  /**
   * Remembers the first key of a host, durably.
   * @param key in the wire format of SSH (RFC 4253, 6.6)
   * @throws BackupError `permission` when another key is known of it meanwhile
   */
  remember(host: string, port: number, key: Buffer): Promise<void>;
}

interface Line {
  readonly host: string;
  readonly key: Buffer;
}

/**
 * Known hosts in a file of OpenSSH's format (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT), so that ssh-keygen can show
 * them (`-lf`) and forget one (`-R '[host]:port' -f`). It may be shared by processes of one host.
 * @param file its absolute path; it and its folder are made when a host is remembered first
 */
export function knownHostsFile(file: string): KnownHosts {
  const keysOf = async (host: string, port: number) => {
    const name = hostName(host, port);
    return (await readLines(file)).filter((line) => line.host === name).map(({ key }) => key);
  };
  return {
    place: file,
    fingerprintsOf: async (host, port) => (await keysOf(host, port)).map(fingerprintOf),
    remember: async (host, port, key) => {
      await mkdir(dirname(file), { recursive: true, mode: 0o700 }).catch((error: unknown) => {
        throw toBackupError(error, `The folder of ${file} cannot be made`);
      });
      await withFileLock(`${file}.lock`, async () => {
        const known = await keysOf(host, port);
        if (known.some((each) => each.equals(key))) return;
        if (known.length > 0) throw otherKey(hostName(host, port), file);
        await append(file, `${hostName(host, port)} ${typeOf(key)} ${key.toString('base64')}\n`);
      });
    },
  };
}

/** `SHA256:` and the digest in base64 without padding, as ssh-keygen prints it. */
export function fingerprintOf(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}

/** The type of a key in the wire format of SSH: `ssh-ed25519`. */
export function typeOf(key: Buffer): string {
  return key.toString('latin1', 4, 4 + key.readUInt32BE(0));
}

function hostName(host: string, port: number): string {
  const name = host.toLowerCase();
  return port === 22 ? name : `[${name}]:${port}`;
}

async function readLines(file: string): Promise<Line[]> {
  const text = await textOf(file);
  return text.split('\n').flatMap((line) => {
    const [hosts = '', , key = ''] = line.trim().split(/\s+/);
    if (hosts === '' || hosts.startsWith('#')) return [];
    return hosts.split(',').map((host) => ({ host, key: Buffer.from(key, 'base64') }));
  });
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw toBackupError(error, `The file of known hosts ${file} cannot be read`);
  }
}

/** By a new file that takes the old one's name: a crash leaves the one or the other. */
async function append(file: string, line: string): Promise<void> {
  const fresh = `${file}.new`;
  try {
    const before = await textOf(file);
    const handle = await open(fresh, 'w', 0o600);
    try {
      await handle.writeFile(before === '' || before.endsWith('\n') ? before + line : `${before}\n${line}`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(fresh, file);
  } catch (error) {
    await rm(fresh, { force: true });
    throw toBackupError(error, `The host key cannot be remembered in ${file}`);
  }
}

function otherKey(host: string, file: string): BackupError {
  return new BackupError(
    'permission',
    `The SSH host ${host} showed two keys at its first connections: compare them with what ssh-keygen -lf prints on the host, and remove the wrong one from ${file}`,
  );
}
