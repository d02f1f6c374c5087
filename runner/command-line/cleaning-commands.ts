import { type Command, Option } from 'commander';
import {
  dryRunOption,
  jobOption,
  jsonOption,
  type Runner,
  withPolicy,
  withStorage,
  withStore,
} from './options.ts';

export function addCleaningCommands(program: Command, run: Runner): void {
  withStore(withStorage(program.command('sweep')))
    .description('remove what killed runs have left in a storage, or in those of a flow')
    .option('--older-than <time>', 'how long nothing must have been written to it: 90s, 30m, 24h, 7d', '24h')
    .addOption(new Option('--dry-run', 'only tell what would be removed (the default)').conflicts('delete'))
    .option('--delete', 'remove it')
    .addOption(jsonOption())
    .action(async (options) => run((await import('../commands/sweep.ts')).sweep, options));
  withPolicy(withStore(withStorage(program.command('prune'))))
    .description('remove the backup sets of a job that a policy does not keep')
    .addOption(jobOption())
    .addOption(dryRunOption().conflicts('simulate'))
    .option('--delete', 'remove it')
    .addOption(new Option('--simulate <time>', 'show what the policy leaves in 400d').conflicts('delete'))
    .option('--every <time>', 'pause between two backups of --simulate: 6h, 1d, 1w', '1d')
    .addOption(jsonOption())
    .action(async (options) => run((await import('../commands/prune.ts')).prune, options));
}
