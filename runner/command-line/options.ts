import { type Command, InvalidArgumentError, Option } from 'commander';
import { RUN_STATES, type RunState } from '../../lib/runs/states.ts';
import type { CommandBody } from '../command.ts';

/** Calls a command's code with its input. */
export type Runner = <Input>(body: CommandBody<Input>, input: Input) => Promise<void>;

export const FLOW_HELP = 'flow file, as Export in the editor writes it';
export const JOB_HELP = 'name of the job, as its source node has it';
export const SET_HELP = '<job>/<id> as list shows it, the id alone, or "latest"';

export function jobOption(): Option {
  return new Option('--job <name>', 'only sets and runs of this job');
}

export function serverOption(): Option {
  return new Option(
    '--server <url|name>',
    'postgresql://user@host/ or mysql://user@host/; with --flow the name or id of a server',
  );
}

export function dryRunOption(): Option {
  return new Option('--dry-run', 'only tell what would be removed (the default)').conflicts('delete');
}

export function jsonOption(): Option {
  return new Option('--json', 'answer in JSON');
}

export function withStorage(command: Command): Command {
  return withCredentials(command)
    .option('--storage <url|name>', 'file:///backups; with --flow the name or id of a storage or destination')
    .option('--flow <file>', 'flow file that names the storage');
}

export function withCredentials(command: Command): Command {
  return withData(command)
    .option('--credentials <file>', 'credentials of the flow (default: <flow>_cred.json beside it)')
    .option(
      '--credential-secret-file <file>',
      'file with the secret that the credentials are encrypted with',
    );
}

export function withData(command: Command): Command {
  return command
    .option('--data <dir>', 'data directory (default: DBACKUP_DATA, else <user directory>/dbackup)')
    .option('--user-dir <dir>', "Node-RED's user directory (default: ~/.node-red)");
}

export function withStore(command: Command): Command {
  return command.option(
    '--store <url>',
    'history in PostgreSQL: postgresql://user@host/database (default: DBACKUP_STORE, else the data directory)',
  );
}

export function withReport(command: Command): Command {
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

export function withPolicy(command: Command): Command {
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

export function withKeys(command: Command): Command {
  return command
    .option('--keys <file>', 'key file of a recovery kit')
    .option('--passphrase-file <file>', 'file with the passphrase')
    .option('--identity <file>', 'file with age identities');
}

/** Gathers what an option says that may be given several times. */
export function collect(value: string, others: readonly string[] = []): string[] {
  return [...others, value];
}

/** @throws InvalidArgumentError for what is no state */
export function runStates(value: string, others: readonly RunState[] = []): RunState[] {
  const state = RUN_STATES.find((known) => known === value);
  if (state !== undefined) return [...others, state];
  throw new InvalidArgumentError(`It must be one of ${RUN_STATES.join(', ')}.`);
}

/** @throws InvalidArgumentError */
export function positiveInteger(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('It must be a whole number above 0.');
}

/** @throws InvalidArgumentError */
export function portNumber(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= 65_535) return value;
  throw new InvalidArgumentError('It must be a port number from 0 (any free one) to 65535.');
}
