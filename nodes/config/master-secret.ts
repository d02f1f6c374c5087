import { join } from 'node:path';
import { BackupError } from '../../lib/errors.ts';
import { masterSecret } from '../../lib/keys/master-secret.ts';

/** The vault's file in the data directory. */
export const VAULT_FILE = 'vault.json';

export function vaultPath(dataDir: string): string {
  return join(dataDir, VAULT_FILE);
}

/**
 * The master secret of the vault: the node's own, else the environment's.
 * @throws BackupError `missing-key` that says how to give one
 */
export async function requireMasterSecret(credential: string | undefined): Promise<string> {
  const secret = await masterSecret({ credential, env: process.env });
  if (secret !== undefined) return secret;
  throw new BackupError(
    'missing-key',
    'The key vault has no master secret: fill it in at the key node, or set DBACKUP_MASTER_KEY or DBACKUP_MASTER_KEY_FILE',
  );
}
