/**
 * A process that uses a vault: `vault-process.ts add <file> <secret> <prefix> <count>` adds that many keys;
 * `vault-process.ts hold <lock file>` takes the lock, says so and waits to be killed.
 */
import { withFileLock } from '../../lib/file-lock.ts';
import { Vault } from '../../lib/keys/vault.ts';

const [mode, file = '', secret = '', prefix = '', count = '0'] = process.argv.slice(2);
if (mode === 'hold') {
  await withFileLock(file, async () => {
    process.stdout.write('held\n');
    await new Promise((resolve) => setTimeout(resolve, 600_000));
  });
} else {
  const vault = await Vault.openOrCreate(file, secret);
  for (let index = 0; index < Number(count); index += 1) await vault.createKey(`${prefix} ${index}`);
}
