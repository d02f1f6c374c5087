import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const TIME = '/usr/bin/time';

export interface Measurement {
  readonly seconds: number;
  /** Largest resident set of the process or one that it waited for, in bytes; undefined without time(1). */
  readonly peakBytes: number | undefined;
  /** When the awaited line came, in seconds after the start; undefined when none was awaited. */
  readonly markSeconds: number | undefined;
}

export interface MeasureOptions {
  readonly environment?: Readonly<Record<string, string>>;
  /** A line of the output whose time is wanted. */
  readonly mark?: RegExp;
}

/**
 * Runs a command and times it from outside, from the start of the process to its end.
 * @throws Error with its output when it fails
 */
export async function measure(
  command: readonly string[],
  scratch: string,
  { environment, mark }: MeasureOptions = {},
): Promise<Measurement> {
  const report = join(scratch, 'time.txt');
  const timed = existsSync(TIME) ? [TIME, '--format=%M', `--output=${report}`, ...command] : [...command];
  const [program = '', ...args] = timed;
  const started = performance.now();
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
  let output = '';
  let markSeconds: number | undefined;
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
    if (mark?.test(output)) markSeconds ??= (performance.now() - started) / 1000;
  });
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  const seconds = (performance.now() - started) / 1000;
  if (code !== 0) throw new Error(`${command.join(' ')} failed with ${code}:\n${output}`);
  const kilobytes = existsSync(TIME) ? Number(await readFile(report, 'utf8')) : undefined;
  return { seconds, peakBytes: kilobytes === undefined ? undefined : kilobytes * 1024, markSeconds };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? Number.NaN) + high) / 2;
}
