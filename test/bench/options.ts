import { availableParallelism, tmpdir } from 'node:os';
import { parseArgs } from 'node:util';

export interface BenchOptions {
  /** Bytes of test data. */
  readonly size: number;
  /** How often each case is run; medians are reported. */
  readonly runs: number;
  /** Where a folder of its own is made for data and output, about six times the size; servers need as much in the temporary folder. */
  readonly folder: string;
  /** Cases whose id (such as sqlitePlain) holds this text; all when empty. */
  readonly only: string;
}

export const USAGE = `npm run bench -- [--size 1G] [--runs 5] [--folder ${tmpdir()}] [--only postgres]

Prints the engine's times beside those of shell pipelines, in one interleaved run (A B C, A B C, …), each
case in a process of its own, timed from outside. ${availableParallelism()} cores here.`;

const UNITS: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** @throws Error that says what is wrong */
export function readOptions(args: readonly string[]): BenchOptions | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      size: { type: 'string', default: '1G' },
      runs: { type: 'string', default: '5' },
      folder: { type: 'string', default: tmpdir() },
      only: { type: 'string', default: '' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs ${values.runs} is not a number above 0`);
  return { size: bytesOf(values.size), runs, folder: values.folder, only: values.only };
}

function bytesOf(text: string): number {
  const [, digits, unit = ''] = /^(\d+)([KMG]?)$/i.exec(text) ?? [];
  if (digits === undefined) throw new Error(`--size ${text} is not a size such as 256M`);
  return Number(digits) * (UNITS[unit.toUpperCase()] ?? 1);
}
