import { Vault, type VaultKeyInfo } from '../../lib/keys/vault.ts';
import type { CommandBody } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { formatTable, formatTime, printable } from '../format.ts';
import { type KeyOptions, requireMasterSecret, vaultFile } from '../key-options.ts';

export interface KeyInput extends Pick<KeyOptions, 'data' | 'userDir'> {
  readonly json?: boolean;
}

/** Lists the keys of the vault, never their bytes. */
export const listKeys: CommandBody<KeyInput> = async (input, { output, env }) => {
  const vault = await Vault.open(vaultFile(input, env), await requireMasterSecret(env));
  const keys = await vault.listKeys();
  if (input.json) output.json({ vault: vault.file, keys });
  else output.print(keys.length === 0 ? `${vault.file} holds no keys` : keyTable(keys));
  return EXIT.ok;
};

/** Makes a key, and the vault with the first one. */
export const createKey: CommandBody<KeyInput & { readonly name: string }> = async (input, context) => {
  const { output, env } = context;
  const vault = await Vault.openOrCreate(vaultFile(input, env), await requireMasterSecret(env));
  const { id, version } = await vault.createKey(input.name);
  if (input.json) output.json({ vault: vault.file, key: { id, name: input.name, version } });
  else output.print(printable(`Key "${input.name}" (${id}) made in ${vault.file}`));
  output.note(
    'Keep a recovery kit in a safe place: without the key its backups cannot be opened (dbackup kit)',
  );
  return EXIT.ok;
};

function keyTable(keys: readonly VaultKeyInfo[]): string {
  const rows = keys.map(({ name, id, createdAt, versions }) => [
    name,
    id,
    formatTime(createdAt),
    String(versions.at(-1)?.version ?? 0),
  ]);
  return formatTable(
    ['NAME', 'ID', 'CREATED', 'VERSION'],
    rows.map((row) => row.map(printable)),
  );
}
