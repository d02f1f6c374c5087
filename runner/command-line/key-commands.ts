import type { Command } from 'commander';
import { collect, jsonOption, type Runner, withData, withKeys } from './options.ts';

export function addKeyCommands(program: Command, run: Runner): void {
  const key = program.command('key').description('keys of the vault in the data directory');
  withData(key.command('list'))
    .description('list the keys, without their bytes')
    .addOption(jsonOption())
    .action(async (options) => run((await import('../commands/key.ts')).listKeys, options));
  withData(key.command('create'))
    .description('make a key, and the vault with the first one')
    .argument('<name>', 'the name that key nodes choose it by')
    .addOption(jsonOption())
    .action(async (name, options) =>
      run((await import('../commands/key.ts')).createKey, { name, ...options }),
    );
}

export function addKitCommand(program: Command, run: Runner): void {
  withData(program.command('kit'))
    .description('write a recovery kit: keys, decryptor and instructions, to open backups without DBackup')
    .argument('<dir>', 'an empty folder; made when it is missing')
    .option('--key <name>', 'vault key to hand out, may be given several times (default: all)', collect)
    .option('--identity <file>', 'file with age identities to hand out')
    .option('--passphrase-file <file>', 'file with the passphrase that protects the keys')
    .option('--plain', 'write the keys without a passphrase')
    .addOption(jsonOption())
    .action(async (directory, options) =>
      run((await import('../commands/kit.ts')).kit, { directory, ...options }),
    );
}

export function addDecryptCommand(program: Command, run: Runner): void {
  withKeys(program.command('decrypt'))
    .description('decrypt a loose .dbk or .age file')
    .argument('<file>', 'the encrypted file')
    .argument('<out>', 'the file to write; it must not exist')
    .option('--decompress', 'also undo the compression that the name tells of (.zst, .gz, .br)')
    .action(async (file, out, options) =>
      run((await import('../commands/decrypt.ts')).decrypt, { file, out, ...options }),
    );
}
