import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { VERIFY_LEVELS } from '../lib/backupset/verify-levels.ts';
import { BackupError, toBackupError } from '../lib/errors.ts';
import { knowEnvironmentSecrets } from '../lib/logs/redact.ts';
import { PRODUCT } from '../lib/product.ts';
import { JOB_STATES } from '../lib/runs/job-states.ts';
import { describeLeft } from '../lib/runs/shutdown.ts';
import { RUN_STATES, type RunState } from '../lib/runs/states.ts';
import type { CommandBody, CommandContext } from './command.ts';
import { EXIT, type ExitCode, exitCodeOf } from './exit-codes.ts';
import { createOutput, ignoreClosedPipes, type Output } from './output.ts';
import { listenForStop } from './signals.ts';

const HELP = `
Exit codes:
  0 ok   1 failed   2 usage or invalid flow   3 could not start   4 deadline   5 partial
  130 and 143: stopped by SIGINT or SIGTERM, after everything was cleaned up or the time for that was over

Keys are never given as arguments. They are looked for in the key vault of the data directory
(opened with DBACKUP_MASTER_KEY or DBACKUP_MASTER_KEY_FILE), in the files that options name, and
in DBACKUP_PASSPHRASE or DBACKUP_PASSPHRASE_FILE. Nor are passwords of servers: they come from the
flow's credentials, or for a URL from DBACKUP_SERVER_PASSWORD or DBACKUP_SERVER_PASSWORD_FILE.`;

/** Runs one command line and ends the process with its exit code. */
export async function main(argv: readonly string[]): Promise<never> {
  ignoreClosedPipes();
  knowEnvironmentSecrets(process.env);
  const code = await execute(argv, createOutput());
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  process.exit(code);
}

async function execute(argv: readonly string[], output: Output): Promise<ExitCode> {
  const stop = listenForStop({
    late: (manner, exitCode) => {
      if (manner.tellLate === undefined) output.error(new BackupError('stalled', describeLeft([])));
      else manner.tellLate(exitCode);
    },
  });
  const context: CommandContext = {
    output,
    signal: stop.signal,
    stopCode: () => stop.exitCode,
    onStop: (manner) => stop.adopt(manner),
    env: process.env,
  };
  let code: ExitCode = EXIT.ok;
  const runner: Runner = async (body, input) => {
    code = await body(input, context);
  };
  try {
    await createProgram(runner).parseAsync(argv);
    return stop.exitCode ?? code;
  } catch (thrown) {
    // Commander has said what is wrong by then; its own code for it is 1.
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : EXIT.usage;
    const error = toBackupError(thrown);
    output.error(error);
    return stop.exitCode ?? exitCodeOf(error);
  } finally {
    stop.dispose();
  }
}

/** Waits until the operating system has what was written: a pipe may not have taken it yet. */
async function flushed(stream: NodeJS.WriteStream): Promise<void> {
  if (stream.destroyed || !stream.writable) return;
  await new Promise<void>((resolve) => stream.write('', () => resolve()));
}

type Runner = <Input>(body: CommandBody<Input>, input: Input) => Promise<void>;

/** The command line. Each command's code is loaded when it is called: `--version` answers at once. */
export function createProgram(run: Runner): Command {
  const program = new Command('dbackup')
    .description('Database backups from Node-RED flows, without the editor')
    .version(PRODUCT.version)
    .addHelpText('after', HELP)
    .showHelpAfterError('(dbackup --help tells more)')
    .exitOverride();
  addFlowCommands(program, run);
  addSetCommands(program, run);
  addRunCommands(program, run);
  addNotifyCommands(program, run);
  addKeyCommands(program, run);
  addKitCommand(program, run);
  return program;
}

function addFlowCommands(program: Command, run: Runner): void {
  withStore(withReport(withCredentials(program.command('run'))))
    .description('run the backup of a flow once')
    .argument('<flow>', FLOW_HELP)
    .option(
      '--trigger <name>',
      'name or id of the inject or schedule node to fire, when several lead to a source',
    )
    .option('--deadline <time>', 'longest time for all of it: 90s, 30m, 6h')
    .action(async (flow, options) => run((await import('./commands/run.ts')).run, { flow, ...options }));
  withStore(withReport(withCredentials(program.command('serve'))))
    .description('keep a flow running: schedules, and HTTP In nodes as webhooks')
    .argument('<flow>', FLOW_HELP)
    .option('--host <address>', 'address that HTTP In nodes are served at', '127.0.0.1')
    .option('--port <number>', 'port that HTTP In nodes are served at', portNumber, 1880)
    .option(
      '--drain <time>',
      'when told to stop, let running backups come to their end: the process ends within 90s, 10m, 6h',
    )
    .action(async (flow, options) => run((await import('./commands/serve.ts')).serve, { flow, ...options }));
  withCredentials(program.command('validate'))
    .description('list every problem of a flow, without running it')
    .argument('<flow>', FLOW_HELP)
    .addOption(jsonOption())
    .action(async (flow, options) =>
      run((await import('./commands/validate.ts')).validate, { flow, ...options }),
    );
}

function addSetCommands(program: Command, run: Runner): void {
  withStorage(program.command('list'))
    .description('list the backup sets of a storage')
    .addOption(jobOption())
    .option('--tag <tag>', 'only sets with this tag, may be given several times', collect)
    .option('--pinned', 'only sets that are pinned')
    .option('--known-bad', 'only sets that failed a verification')
    .addOption(jsonOption())
    .action(async (options) => run((await import('./commands/list.ts')).list, options));
  withStorage(program.command('show'))
    .description('show what a backup set holds')
    .argument('<set>', SET_HELP)
    .addOption(jobOption())
    .addOption(jsonOption())
    .action(async (set, options) => run((await import('./commands/show.ts')).show, { set, ...options }));
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
    .option('--scratch <dir>', 'folder for files of a test restore')
    .option('--no-record', 'write nothing beside the set')
    .addOption(jsonOption())
    .action(async (set, options) => run((await import('./commands/verify.ts')).verify, { set, ...options }));
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
      run((await import('./commands/restore.ts')).restore, { set, ...options }),
    );
  withCredentials(program.command('databases'))
    .description('list the databases of a server')
    .addOption(serverOption())
    .option('--flow <file>', 'flow file that names the server')
    .addOption(jsonOption())
    .action(async (options) => run((await import('./commands/databases.ts')).databases, options));
  withKeys(program.command('decrypt'))
    .description('decrypt a loose .dbk or .age file')
    .argument('<file>', 'the encrypted file')
    .argument('<out>', 'the file to write; it must not exist')
    .option('--decompress', 'also undo the compression that the name tells of (.zst, .gz, .br)')
    .action(async (file, out, options) =>
      run((await import('./commands/decrypt.ts')).decrypt, { file, out, ...options }),
    );
  withStore(withStorage(program.command('sweep')))
    .description('remove what killed runs have left in a storage, or in those of a flow')
    .option('--older-than <time>', 'how long nothing must have been written to it: 90s, 30m, 24h, 7d', '24h')
    .addOption(new Option('--dry-run', 'only tell what would be removed (the default)').conflicts('delete'))
    .option('--delete', 'remove it')
    .addOption(jsonOption())
    .action(async (options) => run((await import('./commands/sweep.ts')).sweep, options));
  withPolicy(withStore(withStorage(program.command('prune'))))
    .description('remove the backup sets of a job that a policy does not keep')
    .addOption(jobOption())
    .addOption(dryRunOption().conflicts('simulate'))
    .option('--delete', 'remove it')
    .addOption(new Option('--simulate <time>', 'show what the policy leaves in 400d').conflicts('delete'))
    .option('--every <time>', 'pause between two backups of --simulate: 6h, 1d, 1w', '1d')
    .addOption(jsonOption())
    .action(async (options) => run((await import('./commands/prune.ts')).prune, options));
  withStore(withData(program.command('runs')))
    .description('list the history of runs, or show one of them')
    .argument('[run]', 'id of a run: all that is known of it')
    .addOption(jobOption())
    .option('--state <state>', 'only runs in this state, may be given several times', runStates)
    .option('--since <time>', 'only runs that were opened since: 24h, 7d, 2026-01-31')
    .option('--limit <count>', 'newest so many', positiveInteger, 20)
    .addOption(jsonOption())
    .action(async (id, options) => run((await import('./commands/runs.ts')).runs, { run: id, ...options }));
  addJobCommands(program, run);
  withStore(withData(program.command('logs')))
    .description('show what a run did, line by line')
    .argument('<run>', 'id of the run as runs shows it, or "latest"')
    .option('--job <name>', 'with "latest": of this job')
    .addOption(
      new Option('--level <level>', 'the least level')
        .choices(['debug', 'info', 'warn', 'error'])
        .default('info'),
    )
    .option('--follow', 'wait for more until the run has ended')
    .addOption(new Option('--json', 'one JSON object per line'))
    .action(async (id, options) => run((await import('./commands/logs.ts')).logs, { run: id, ...options }));
}

function addRunCommands(program: Command, run: Runner): void {
  withStore(withData(program.command('queue')))
    .description('list the runs that wait and go on')
    .addOption(jsonOption())
    .action(async (options) => run((await import('./commands/queue.ts')).queue, options));
  withStore(withData(program.command('cancel')))
    .description('end a run that waits or goes on, also one of another process')
    .argument('<run>', 'id of the run, as queue shows it')
    .option('--reason <text>', 'why; it stands in the history')
    .option('--no-wait', 'do not wait until the run has ended')
    .addOption(jsonOption())
    .action(async (id, options) =>
      run((await import('./commands/cancel.ts')).cancel, { run: id, ...options }),
    );
}

function addJobCommands(program: Command, run: Runner): void {
  const jobs = program.command('jobs').description('jobs: how they stand, and what brings dead letters back');
  withStore(withData(jobs.command('list', { isDefault: true })))
    .description('list the jobs that have run (what "jobs" alone does)')
    .addOption(new Option('--state <state>', 'only jobs in this state').choices(JOB_STATES))
    .addOption(jsonOption())
    .action(async (options) => run((await import('./commands/jobs.ts')).listJobs, options));
  withStore(withData(jobs.command('show')))
    .description('show a job with the history of its errors')
    .argument('<job>', JOB_HELP)
    .option('--limit <count>', 'newest so many errors', positiveInteger, 20)
    .addOption(jsonOption())
    .action(async (job, options) => run((await import('./commands/jobs.ts')).showJob, { job, ...options }));
  withStore(withData(jobs.command('requeue')))
    .description('put a dead-lettered job back: its schedules begin it again')
    .argument('<job>', JOB_HELP)
    .addOption(jsonOption())
    .action(async (job, options) =>
      run((await import('./commands/jobs.ts')).requeueJob, { job, ...options }),
    );
  withStore(withData(jobs.command('discard')))
    .description('forget a job that is not run any more; the history of its runs stays')
    .argument('<job>', JOB_HELP)
    .addOption(jsonOption())
    .action(async (job, options) =>
      run((await import('./commands/jobs.ts')).discardJob, { job, ...options }),
    );
}

function addNotifyCommands(program: Command, run: Runner): void {
  const notify = program.command('notify').description('notifiers of a flow');
  withCredentials(notify.command('test'))
    .description('send a test message through a notifier')
    .requiredOption('--flow <file>', 'flow file with the notifier')
    .option('--node <name>', 'name or id of the notifier; not needed when the flow has one only')
    .addOption(jsonOption())
    .action(async (options) => run((await import('./commands/notify.ts')).notifyTest, options));
}

function addAnnotationCommands(program: Command, run: Runner): void {
  withAnnotation(program.command('tag'))
    .description('add tags to a backup set')
    .argument('<set>', SET_HELP)
    .argument('<tags...>', 'words without blanks')
    .option('--remove', 'take them away')
    .action(async (set, tags, options) =>
      run((await import('./commands/annotate.ts')).tag, { set, tags, ...options }),
    );
  withAnnotation(program.command('note'))
    .description('write a note about a backup set')
    .argument('<set>', SET_HELP)
    .argument('<text>', 'the note; "" for none')
    .action(async (set, text, options) =>
      run((await import('./commands/annotate.ts')).note, { set, text, ...options }),
    );
  withAnnotation(program.command('pin'))
    .description('keep a backup set: retention never removes it')
    .argument('<set>', SET_HELP)
    .action(async (set, options) => run((await import('./commands/annotate.ts')).pin, { set, ...options }));
  withAnnotation(program.command('unpin'))
    .description('let retention decide about a backup set again')
    .argument('<set>', SET_HELP)
    .action(async (set, options) => run((await import('./commands/annotate.ts')).unpin, { set, ...options }));
}

function withAnnotation(command: Command): Command {
  return withStorage(command)
    .addOption(jobOption())
    .option('--replace-damaged', 'begin anew where the annotations cannot be read')
    .addOption(jsonOption());
}

function addKeyCommands(program: Command, run: Runner): void {
  const key = program.command('key').description('keys of the vault in the data directory');
  withData(key.command('list'))
    .description('list the keys, without their bytes')
    .addOption(jsonOption())
    .action(async (options) => run((await import('./commands/key.ts')).listKeys, options));
  withData(key.command('create'))
    .description('make a key, and the vault with the first one')
    .argument('<name>', 'the name that key nodes choose it by')
    .addOption(jsonOption())
    .action(async (name, options) =>
      run((await import('./commands/key.ts')).createKey, { name, ...options }),
    );
}

function addKitCommand(program: Command, run: Runner): void {
  withData(program.command('kit'))
    .description('write a recovery kit: keys, decryptor and instructions, to open backups without DBackup')
    .argument('<dir>', 'an empty folder; made when it is missing')
    .option('--key <name>', 'vault key to hand out, may be given several times (default: all)', collect)
    .option('--identity <file>', 'file with age identities to hand out')
    .option('--passphrase-file <file>', 'file with the passphrase that protects the keys')
    .option('--plain', 'write the keys without a passphrase')
    .addOption(jsonOption())
    .action(async (directory, options) =>
      run((await import('./commands/kit.ts')).kit, { directory, ...options }),
    );
}

const FLOW_HELP = 'flow file, as Export in the editor writes it';
const JOB_HELP = 'name of the job, as its source node has it';
const SET_HELP = '<job>/<id> as list shows it, the id alone, or "latest"';

function jobOption(): Option {
  return new Option('--job <name>', 'only sets and runs of this job');
}

function serverOption(): Option {
  return new Option(
    '--server <url|name>',
    'postgresql://user@host/ or mysql://user@host/; with --flow the name or id of a server',
  );
}

function dryRunOption(): Option {
  return new Option('--dry-run', 'only tell what would be removed (the default)').conflicts('delete');
}

function jsonOption(): Option {
  return new Option('--json', 'answer in JSON');
}

function withStorage(command: Command): Command {
  return withCredentials(command)
    .option('--storage <url|name>', 'file:///backups; with --flow the name or id of a storage or destination')
    .option('--flow <file>', 'flow file that names the storage');
}

function withCredentials(command: Command): Command {
  return withData(command)
    .option('--credentials <file>', 'credentials of the flow (default: <flow>_cred.json beside it)')
    .option(
      '--credential-secret-file <file>',
      'file with the secret that the credentials are encrypted with',
    );
}

function withData(command: Command): Command {
  return command
    .option('--data <dir>', 'data directory (default: DBACKUP_DATA, else <user directory>/dbackup)')
    .option('--user-dir <dir>', "Node-RED's user directory (default: ~/.node-red)");
}

function withStore(command: Command): Command {
  return command.option(
    '--store <url>',
    'history in PostgreSQL: postgresql://user@host/database (default: DBACKUP_STORE, else the data directory)',
  );
}

function withReport(command: Command): Command {
  return command
    .option(
      '--planning <time>',
      'how long a node may hold a message of a run that has not begun (default: 30s)',
    )
    .option(
      '--attempts <number>',
      'how often a destination with a passing trouble is tried (default: 5), and a database dumped (at most 3)',
      positiveInteger,
    )
    .option('--concurrency <number>', 'how many runs may go on at a time (default: 2)', positiveInteger)
    .addOption(new Option('--json', 'tell what happens as one JSON object per line on stdout'))
    .option('--quiet', 'say nothing unless something is wrong');
}

function withPolicy(command: Command): Command {
  return command
    .option('--policy <name>', 'name or id of the retention node of --flow (default: the only one)')
    .option('--keep-last <count>', 'keep the newest so many sets', positiveInteger)
    .option('--keep-within <time>', 'keep what is younger than the newest by less: 30d, 6m (months), 1y2m')
    .option('--keep-hourly <count>', 'keep the newest set of each of so many hours', positiveInteger)
    .option('--keep-daily <count>', 'keep the newest set of each of so many days', positiveInteger)
    .option('--keep-weekly <count>', 'keep the newest set of each of so many weeks', positiveInteger)
    .option('--keep-monthly <count>', 'keep the newest set of each of so many months', positiveInteger)
    .option('--keep-yearly <count>', 'keep the newest set of each of so many years', positiveInteger)
    .option('--keep-tag <tag>', 'keep all sets with this tag, may be given several times', collect)
    .option('--zone <name>', 'where days begin: Europe/Berlin (default: that of this host)');
}

function withKeys(command: Command): Command {
  return command
    .option('--keys <file>', 'key file of a recovery kit')
    .option('--passphrase-file <file>', 'file with the passphrase')
    .option('--identity <file>', 'file with age identities');
}

function collect(value: string, others: readonly string[] = []): string[] {
  return [...others, value];
}

function runStates(value: string, others: readonly RunState[] = []): RunState[] {
  const state = RUN_STATES.find((known) => known === value);
  if (state !== undefined) return [...others, state];
  throw new InvalidArgumentError(`It must be one of ${RUN_STATES.join(', ')}.`);
}

function positiveInteger(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('It must be a whole number above 0.');
}

function portNumber(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= 65_535) return value;
  throw new InvalidArgumentError('It must be a port number from 0 (any free one) to 65535.');
}
