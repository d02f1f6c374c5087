import type { ExportedKey } from './key-file.ts';
import type { KeyRing } from './keys.ts';
import type { Vault } from './vault.ts';

export interface RingSources {
  readonly vault?: Vault | undefined;
  /** Keys of a recovery kit; they come before the vault's. */
  readonly keys?: readonly ExportedKey[];
  readonly passphrases?: readonly string[];
  /** age identities; see `parseAgeIdentities` for a whole identity file. */
  readonly identities?: readonly string[];
}

/** A ring of everything that may open files here. */
export function ringFrom({ vault, keys = [], passphrases = [], identities = [] }: RingSources): KeyRing {
  return {
    vaultKey: async (id, version) => {
      const exported = keys.find((key) => key.id === id && key.version === version);
      return exported?.key ?? (await vault?.key(id, version));
    },
    passphrases: [...passphrases],
    ageIdentities: [...identities],
  };
}
