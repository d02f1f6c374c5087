import { hostname } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { BackupError, throwIfAborted } from '../../lib/errors.ts';
import { isActiveState, type RunState } from '../../lib/runs/states.ts';
import type { Store } from '../../lib/store/store.ts';
import type { CommandBody } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { type HistoryOptions, openHistory } from '../history.ts';

/** How often it is looked whether the run has ended, in ms. */
const LOOK_EVERY_MS = 250;

export interface CancelInput extends HistoryOptions {
  /** Id of the run. */
  readonly run: string;
  readonly reason?: string;
  /** False: does not wait until the run has ended. */
  readonly wait: boolean;
  readonly json?: boolean;
}

/** Ends a run that waits or goes on, in whichever process that shares the history. */
export const cancel: CommandBody<CancelInput> = async (input, { output, signal, env }) => {
  const store = await openHistory(input, env);
  if (store === undefined) throw unknownRun(input.run);
  try {
    await request(store, input);
    const state = input.wait ? await endOf(store, input.run, signal) : undefined;
    if (input.json) output.json({ run: input.run, ...(state === undefined ? {} : { state }) });
    else output.print(answerText(input.run, state));
    return exitCodeOfState(state);
  } finally {
    await store.close();
  }
};

/** @throws BackupError when there is nothing to end */
async function request(store: Store, { run, reason }: CancelInput): Promise<void> {
  const why = reason?.trim() || `dbackup cancel was called on ${hostname()}`;
  const state = await store.cancellations.request(run, why);
  if (state === undefined) throw unknownRun(run);
  if (isActiveState(state)) return;
  throw new BackupError('not-found', `Run ${run} has ended already: it is ${state}`);
}

/** The process that runs it looks every two seconds, and cleans up then; one that has died is noticed within a minute. */
async function endOf(store: Store, run: string, signal: AbortSignal): Promise<RunState> {
  for (;;) {
    const state = await store.cancellations.stateOf(run);
    if (state === undefined) throw unknownRun(run);
    if (!isActiveState(state)) return state;
    await wait(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
    throwIfAborted(signal);
  }
}

function answerText(run: string, state: RunState | undefined): string {
  if (state === undefined) return `Run ${run} is being cancelled`;
  if (state === 'cancelled') return `Run ${run} is cancelled`;
  return `Run ${run} was not cancelled: it is ${state}`;
}

function exitCodeOfState(state: RunState | undefined): ExitCode {
  return state === undefined || state === 'cancelled' ? EXIT.ok : EXIT.failed;
}

function unknownRun(run: string): BackupError {
  return new BackupError(
    'not-found',
    `The history knows no run ${run}: dbackup queue lists those that wait and go on`,
  );
}
