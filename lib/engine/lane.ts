import { abortError, throwIfAborted } from '../errors.ts';
import type { DumpLane } from '../sources/driver.ts';

/** A dump that is under way or waits for its turn. */
interface Place {
  readonly limit: number;
  readonly begin: () => void;
}

interface Line {
  /** Under way. */
  readonly entered: Set<Place>;
  /** In the order of their coming. */
  readonly waiting: Place[];
}

/** The lines of all runs of this process, by key; those that nobody uses are forgotten. */
const lines = new Map<string, Line>();

/**
 * Waits for a place in the lane, first come, first served, whichever run one belongs to. No more dumps are
 * under way than any of them allows.
 * @returns gives the place back; calling it again does nothing
 * @throws BackupError when the signal aborts first; the line is left then
 */
export function enterLane({ key, limit }: DumpLane, signal: AbortSignal): Promise<() => void> {
  return new Promise((resolve, reject) => {
    throwIfAborted(signal);
    const line = lines.get(key) ?? { entered: new Set(), waiting: [] };
    lines.set(key, line);
    const leave = (place: Place) => {
      line.entered.delete(place);
      advance(key, line);
    };
    const place: Place = {
      limit,
      begin: () => {
        signal.removeEventListener('abort', giveUp);
        resolve(() => leave(place));
      },
    };
    const giveUp = () => {
      line.waiting.splice(line.waiting.indexOf(place), 1);
      advance(key, line);
      reject(abortError(signal));
    };
    signal.addEventListener('abort', giveUp, { once: true });
    line.waiting.push(place);
    advance(key, line);
  });
}

/** Lets in whom there is room for. Nobody overtakes the first of the line. */
function advance(key: string, line: Line): void {
  for (let first = line.waiting[0]; first !== undefined; first = line.waiting[0]) {
    const limits = [first, ...line.entered].map(({ limit }) => limit);
    if (line.entered.size >= Math.min(...limits)) return;
    line.waiting.shift();
    line.entered.add(first);
    first.begin();
  }
  if (line.entered.size === 0 && lines.get(key) === line) lines.delete(key);
}
