import { pause } from '../backoff.ts';
import type { Clock } from '../clock.ts';
import { BackupError } from '../errors.ts';
import { isActiveState } from '../runs/states.ts';
import { MAX_LOG_PAGE, type RunLogPage } from '../store/logs.ts';
import type { Store } from '../store/store.ts';
import type { LogLevel } from './log-line.ts';

/** How often a log that is followed is looked at, in ms. */
const LOOK_EVERY_MS = 1000;

export interface ReadLogOptions {
  /** The least level. */
  readonly level: LogLevel;
  /** Waits for more until the run has ended. */
  readonly follow: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * A run's log from its first line, page by page; the last page tells how the run stands.
 * @throws BackupError `not-found` when the history does not know the run; the signal's reason
 */
export async function* readLog(
  store: Pick<Store, 'log'>,
  run: string,
  { level, follow, clock, signal }: ReadLogOptions,
): AsyncGenerator<RunLogPage> {
  let after = 0;
  for (;;) {
    const page = await store.log(run, { level, after });
    if (page === undefined) throw new BackupError('not-found', `The history knows no run ${run}`);
    yield page;
    after = page.lines.at(-1)?.number ?? after;
    if (page.lines.length === MAX_LOG_PAGE) continue;
    if (!follow || !isActiveState(page.state)) return;
    await pause(LOOK_EVERY_MS, signal, clock);
  }
}
