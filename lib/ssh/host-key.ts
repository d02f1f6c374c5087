import type { ServerHostKeyAlgorithm } from 'ssh2';
import { BackupError } from '../errors.ts';
import { fingerprintOf, type KnownHosts, typeOf } from './known-hosts.ts';

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
  readonly #trusted: Set<string>;
  readonly #knownHosts: KnownHosts | undefined;
  readonly #found = new Map<string, string>();
  #kinds = KINDS;
  #accepted = false;
  #first: Buffer | undefined;

  /**
   * @param fingerprints as `ssh-keygen -lf` prints them: `SHA256:` and 43 characters of base64
   * @param knownHosts where they were remembered: when there are none, the first key that is shown is trusted
   */
  constructor(fingerprints: readonly string[], knownHosts?: KnownHosts) {
    this.#trusted = new Set(fingerprints.map((fingerprint) => fingerprint.replace(/=+$/, '')));
    this.#knownHosts = knownHosts;
  }

  /** What to ask the host for. */
  get algorithms(): ServerHostKeyAlgorithm[] {
    return this.#kinds.flat();
  }

  /** Whether the host has shown keys, and none that is trusted. */
  get denied(): boolean {
    return this.#found.size > 0 && !this.#accepted;
  }

  /** The key that was trusted because it was the first one; it is to be remembered. */
  get first(): Buffer | undefined {
    return this.#first;
  }

  /** @param key in the wire format of SSH (RFC 4253, 6.6): its type first */
  readonly accepts = (key: Buffer): boolean => {
    const fingerprint = fingerprintOf(key);
    if (this.#trusted.size === 0 && this.#knownHosts !== undefined) {
      this.#trusted.add(fingerprint);
      this.#first = Buffer.from(key);
    }
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
      `The SSH host ${host} is not trusted: ${this.#complaint()}. ` +
        `It showed ${keys}. Compare with what ssh-keygen -lf prints on the host itself, and ${this.#advice()}`,
    );
  }

  #complaint(): string {
    if (this.#knownHosts !== undefined) return 'it does not show the key that was remembered of it';
    if (this.#trusted.size === 0) return 'no host key was set';
    return 'none of its keys is among the host keys that were set';
  }

  #advice(): string {
    if (this.#knownHosts === undefined) return 'paste it into the settings only if it is right';
    return `only if it is right, remove the old one from ${this.#knownHosts.place}`;
  }
}

function keyTypeOf(algorithm: ServerHostKeyAlgorithm): string {
  return algorithm.startsWith('rsa-sha2-') ? 'ssh-rsa' : algorithm;
}
