import { Command, CommanderError } from 'commander';
import { BackupError, toBackupError } from '../lib/errors.ts';
import { knowEnvironmentSecrets } from '../lib/logs/redact.ts';
import { PRODUCT } from '../lib/product.ts';
import { describeLeft } from '../lib/runs/shutdown.ts';
import type { CommandContext } from './command.ts';
import { addCleaningCommands } from './command-line/cleaning-commands.ts';
import { addFlowCommands, addNotifyCommands } from './command-line/flow-commands.ts';
import { addHistoryCommands, addJobCommands, addRunCommands } from './command-line/history-commands.ts';
import { addDecryptCommand, addKeyCommands, addKitCommand } from './command-line/key-commands.ts';
import type { Runner } from './command-line/options.ts';
import { addSetCommands } from './command-line/set-commands.ts';
import { endProcess } from './end-process.ts';
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
export async function main(argv: readonly string[]): Promise<void> {
  ignoreClosedPipes();
  knowEnvironmentSecrets(process.env);
  const code = await execute(argv, createOutput());
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  endProcess(code);
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
  addCleaningCommands(program, run);
  addHistoryCommands(program, run);
  addJobCommands(program, run);
  addRunCommands(program, run);
  addNotifyCommands(program, run);
  addDecryptCommand(program, run);
  addKeyCommands(program, run);
  addKitCommand(program, run);
  return program;
}
