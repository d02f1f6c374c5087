/** What an encrypt step needs: who shall be able to open the file. Held in memory only. */
export type EncryptionKey =
  | { readonly type: 'vault'; readonly id: string; readonly version: number; readonly key: Buffer }
  | { readonly type: 'passphrase'; readonly passphrase: string }
  | { readonly type: 'age'; readonly recipients: readonly string[] };

/** Where a restore looks for keys. Asked by the header of the file that is being opened. */
export interface KeyRing {
  /** The 32-byte wrapping key of that vault key version, or undefined when it is not known here. */
  vaultKey(id: string, version: number): Promise<Buffer | undefined>;
  /** Passphrases to try, in order. */
  readonly passphrases: readonly string[];
  /** age identities (`AGE-SECRET-KEY-1…`) to try, in order. */
  readonly ageIdentities: readonly string[];
}

/** A ring that opens nothing: for sets that are not encrypted. */
export const EMPTY_KEY_RING: KeyRing = {
  vaultKey: async () => undefined,
  passphrases: [],
  ageIdentities: [],
};
