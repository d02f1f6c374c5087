import { systemClock } from '../../lib/clock.ts';
import { BackupError } from '../../lib/errors.ts';
import type { LogLevel } from '../../lib/logs/log-line.ts';
import { readLog } from '../../lib/logs/read-log.ts';
import type { RecordedLine, RunLogPage } from '../../lib/store/logs.ts';
import type { Store } from '../../lib/store/store.ts';
import type { CommandBody, CommandContext } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { formatTime, printable } from '../format.ts';
import { type HistoryOptions, openHistory } from '../history.ts';

export interface LogsInput extends HistoryOptions {
  /** Id of a run, or `latest`. */
  readonly run: string;
  /** Of which job the latest run is meant. */
  readonly job?: string;
  readonly level: LogLevel;
  readonly follow?: boolean;
  readonly json?: boolean;
}

/** Shows the log of a run; with `follow` until the run has ended. */
export const logs: CommandBody<LogsInput> = async (input, context) => {
  if (input.job !== undefined && input.run !== 'latest') {
    throw new BackupError('invalid-config', '--job goes with "latest" only: a run has one job');
  }
  const store = await openHistory(input, context.env);
  if (store === undefined) throw new BackupError('not-found', 'No run is recorded: there is no history');
  try {
    await show(store, await runMeant(store, input), input, context);
    return EXIT.ok;
  } finally {
    await store.close();
  }
};

async function show(store: Store, run: string, input: LogsInput, context: CommandContext): Promise<void> {
  const { output, signal } = context;
  const { level, follow = false } = input;
  let last: RunLogPage | undefined;
  for await (const page of readLog(store, run, { level, follow, signal, clock: systemClock })) {
    last = page;
    for (const line of page.lines) {
      if (input.json) output.json(line);
      else output.print(lineText(line));
    }
  }
  if (last !== undefined) output.note(printable(standing(last)));
}

function lineText({ at, level, message }: RecordedLine): string {
  return `${formatTime(at)}  ${level.padEnd(5)}  ${printable(message)}`;
}

/** A run whose process died has no last line that tells. */
function standing({ run, job, state, error }: RunLogPage): string {
  return `Run ${run} of ${job}: ${state}${error === null ? '' : `: ${error}`}`;
}

async function runMeant(store: Store, { run, job }: LogsInput): Promise<string> {
  if (run !== 'latest') return run;
  const [latest] = await store.runs({ limit: 1, ...(job === undefined ? {} : { job }) });
  if (latest !== undefined) return latest.id;
  throw new BackupError('not-found', `No run${job === undefined ? '' : ` of ${job}`} is recorded`);
}
