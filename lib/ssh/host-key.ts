import { createHash } from 'node:crypto';
import type { ServerHostKeyAlgorithm } from 'ssh2';
import { BackupError } from '../errors.ts';

/**
 * Algorithms of host keys, by the kind of key that they use. One connection shows one key of the host: that
 * of the first kind which both sides know.
 */
const KINDS: readonly (readonly ServerHostKeyAlgorithm[])[] = [
  ['ssh-ed25519'],
  ['ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521'],
  ['rsa-sha2-512', 'rsa-sha2-256'],
];

/** Tells whether a host is the one that is meant, by the fingerprints of its keys that are trusted. */
export class HostKeyCheck {
  readonly #trusted: ReadonlySet<string>;
  readonly #found = new Map<string, string>();
  #kinds = KINDS;
  #accepted = false;

  /** @param fingerprints as `ssh-keygen -lf` prints them: `SHA256:` and 43 characters of base64 */
  constructor(fingerprints: readonly string[]) {
    this.#trusted = new Set(fingerprints.map(withoutPadding));
  }

  /** What to ask the host for. */
  get algorithms(): ServerHostKeyAlgorithm[] {
    return this.#kinds.flat();
  }

  /** Whether the host has shown keys, and none that is trusted. */
  get denied(): boolean {
    return this.#found.size > 0 && !this.#accepted;
  }

  /** @param key in the wire format of SSH (RFC 4253, 6.6): its type first */
  readonly accepts = (key: Buffer): boolean => {
    const fingerprint = fingerprintOf(key);
    if (this.#trusted.has(fingerprint)) {
      this.#accepted = true;
      return true;
    }
    const type = typeOf(key);
    this.#found.set(fingerprint, type);
    this.#kinds = this.#kinds.filter((kind) => !kind.some((algorithm) => keyTypeOf(algorithm) === type));
    return false;
  };

  /** Why the host is not trusted. */
  refusal(host: string): BackupError {
    const keys = [...this.#found].map(([fingerprint, type]) => `${fingerprint} (${type})`).join(', ');
    return new BackupError(
      'permission',
      `The SSH host ${host} is not trusted: none of its keys is among the host keys that were set. ` +
        `It showed ${keys}. Compare with what ssh-keygen -lf prints on the host itself, ` +
        'and paste it into the settings only if it is right',
    );
  }
}

function keyTypeOf(algorithm: ServerHostKeyAlgorithm): string {
  return algorithm.startsWith('rsa-sha2-') ? 'ssh-rsa' : algorithm;
}

function fingerprintOf(key: Buffer): string {
  return withoutPadding(`SHA256:${createHash('sha256').update(key).digest('base64')}`);
}

function withoutPadding(fingerprint: string): string {
  return fingerprint.replace(/=+$/, '');
}

function typeOf(key: Buffer): string {
  return key.toString('latin1', 4, 4 + key.readUInt32BE(0));
}
