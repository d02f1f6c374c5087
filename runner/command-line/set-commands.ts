import { type Command, Option } from 'commander';
import { VERIFY_LEVELS } from '../../lib/backupset/verify-levels.ts';
import { addAnnotationCommands } from './annotation-commands.ts';
import {
  collect,
  jobOption,
  jsonOption,
  positiveInteger,
  type Runner,
  SET_HELP,
  serverOption,
  withCredentials,
  withKeys,
  withStorage,
} from './options.ts';

export function addSetCommands(program: Command, run: Runner): void {
  withStorage(program.command('list'))
    .description('list the backup sets of a storage')
    .addOption(jobOption())
    .option('--tag <tag>', 'only sets with this tag, may be given several times', collect)
    .option('--pinned', 'only sets that are pinned')
    .option('--known-bad', 'only sets that failed a verification')
    .addOption(jsonOption())
    .action(async (options) => run((await import('../commands/list.ts')).list, options));
  withStorage(program.command('show'))
    .description('show what a backup set holds')
    .argument('<set>', SET_HELP)
    .addOption(jobOption())
    .addOption(jsonOption())
    .action(async (set, options) => run((await import('../commands/show.ts')).show, { set, ...options }));
  withKeys(withStorage(program.command('verify')))
    .description('check a backup set, or several')
    .argument('<set>', `${SET_HELP}; "all", "random" or "unverified"`)
    .addOption(jobOption())
    .addOption(
      new Option('--level <level>', 'how deep: sizes, stored hashes, content, or a restore for a test')
        .choices(VERIFY_LEVELS)
        .default('hash'),
    )
    .addOption(serverOption())
    .option('--assert <text>', 'what a restored database must answer: "SELECT … => >= 1"', collect)
    .option('--forget-assertions', 'those that failed before were wrong: they need not be asked again')
    .option('--scratch <dir>', 'folder for files of a test restore')
    .option('--no-record', 'write nothing beside the set')
    .addOption(jsonOption())
    .action(async (set, options) => run((await import('../commands/verify.ts')).verify, { set, ...options }));
  addAnnotationCommands(program, run);
  withKeys(withStorage(program.command('restore')))
    .description('put a database of a backup set back')
    .argument('<set>', SET_HELP)
    .addOption(jobOption())
    .option('--database <name>', 'which database; not needed when the set holds one only')
    .option('--to <target>', 'SQLite: the file to make; servers: name of the database (default: the same)')
    .addOption(serverOption())
    .option('--overwrite', 'replace a database that is there')
    .option('--no-safety-copy', 'do not keep what is replaced')
    .addOption(new Option('--schema-only', 'restore no data').conflicts('dataOnly'))
    .option('--data-only', 'restore data into tables that are there')
    .option('--table <name>', 'only this table, may be given several times', collect)
    .option('--no-owners', 'let everything belong to the user who restores')
    .option('--no-privileges', 'do not give back who may do what')
    .option('--jobs <count>', 'parallel jobs', positiveInteger, 1)
    .addOption(jsonOption())
    .action(async (set, options) =>
      run((await import('../commands/restore.ts')).restore, { set, ...options }),
    );
  withCredentials(program.command('databases'))
    .description('list the databases of a server')
    .addOption(serverOption())
    .option('--flow <file>', 'flow file that names the server')
    .addOption(jsonOption())
    .action(async (options) => run((await import('../commands/databases.ts')).databases, options));
}
