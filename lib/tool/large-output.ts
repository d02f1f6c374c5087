import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { throwIfAborted } from '../errors.ts';
import { runTool } from './run-tool.ts';
import type { ToolCommand } from './tool-process.ts';

/** Size of the buffer that a tool collects its output in before it writes. */
const BUFFER = '256K';

/**
 * Lets a dump tool write larger pieces where the system offers it (`stdbuf` of GNU coreutils). Most write 4 KiB
 * at a time, and on a small machine these system calls cost as much as encrypting what is written.
 * @param command must be able to answer `--version`
 * @returns the command itself, where this does not work for its program
 */
export async function withLargeOutput(command: ToolCommand, signal: AbortSignal): Promise<ToolCommand> {
  const { program } = command;
  let path = found.get(program);
  if (path === undefined) {
    path = await stdbufFor(program, signal);
    found.set(program, path);
  }
  return path === ''
    ? command
    : { ...command, program: path, args: [`-o${BUFFER}`, program, ...command.args] };
}

/** Path of the `stdbuf` that works for a program; empty: none. */
const found = new Map<string, string>();

async function stdbufFor(program: string, signal: AbortSignal): Promise<string> {
  const folders = process.platform === 'linux' ? (process.env.PATH ?? '').split(delimiter) : [];
  for (const path of folders.map((folder) => join(folder, 'stdbuf'))) {
    if (!(await isExecutable(path))) continue;
    if (await answersWell(path, program, signal)) return path;
  }
  return '';
}

/** The library that it loads into the program must fit it, else it complains. */
async function answersWell(stdbuf: string, program: string, signal: AbortSignal): Promise<boolean> {
  const command = { program: stdbuf, args: [`-o${BUFFER}`, program, '--version'], env: {}, subject: stdbuf };
  try {
    const { stdout, stderr } = await runTool(command, signal);
    return stdout !== '' && stderr.length === 0;
  } catch {
    throwIfAborted(signal);
    return false;
  }
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
