import { existsSync, readdirSync, watch } from 'node:fs';
import { eventsOf, type RunnerEvent, type RunnerProcess } from './runner-process.ts';
import { until } from './until.ts';

const PATIENCE_MS = 120_000;

/** Resolves when `--json` has told an event that fits. */
export function told(runner: RunnerProcess, fits: (event: RunnerEvent) => boolean): Promise<RunnerEvent> {
  return runner.seen((stdout) => eventsOf(stdout).find(fits));
}

/** Resolves when a destination has taken more than that many bytes of a database. */
export function stored(runner: RunnerProcess, destination: string, moreThan = 0): Promise<RunnerEvent> {
  return told(runner, ({ event, storedBytes }) => {
    if (event !== 'progress') return false;
    return ((storedBytes as Record<string, number>)[destination] ?? 0) > moreThan;
  });
}

/** Resolves when a file of that name appears in the folder, which may not be there yet. */
export async function appears(folder: string, name: RegExp): Promise<void> {
  await until(() => existsSync(folder), PATIENCE_MS);
  const limit = AbortSignal.timeout(PATIENCE_MS);
  await new Promise<void>((resolve, reject) => {
    limit.addEventListener('abort', () => reject(new Error(`No ${name} has appeared in ${folder}`)));
    const watcher = watch(folder, { signal: limit }, look).on('error', () => undefined);
    function look(): void {
      if (!readdirSync(folder).some((found) => name.test(found))) return;
      watcher.close();
      resolve();
    }
    look();
  });
}

/** The same in a folder that appears in `parent` from now on: that of the next set of a job. */
export async function appearsInNext(parent: string, name: RegExp): Promise<void> {
  const names = () => (existsSync(parent) ? readdirSync(parent) : []);
  const known = new Set(names());
  const next = () => names().find((found) => !known.has(found));
  await until(() => next() !== undefined, PATIENCE_MS);
  await appears(`${parent}/${next()}`, name);
}
