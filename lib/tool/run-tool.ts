import { BackupError } from '../errors.ts';
import { type ToolCommand, ToolProcess } from './tool-process.ts';

/** Output beyond this is not an answer but a dump, in bytes. */
const MAX_BYTES = 16 * 1024 * 1024;

export interface ToolAnswer {
  readonly stdout: string;
  readonly stderr: readonly string[];
}

/**
 * Runs a tool that answers briefly (`pg_dump --version`, `pg_restore --list`).
 * @param input what it reads from stdin
 * @throws BackupError when it cannot be run or does not end with exit code 0
 */
export async function runTool(command: ToolCommand, signal: AbortSignal, input = ''): Promise<ToolAnswer> {
  const tool = new ToolProcess(command, signal);
  tool.stdin.end(input);
  const chunks: Buffer[] = [];
  let bytes = 0;
  tool.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= MAX_BYTES) chunks.push(chunk);
    else void tool.stop(new BackupError('internal', `${command.subject} gave more than ${MAX_BYTES} bytes`));
  });
  const stderr = await tool.succeeded();
  return { stdout: Buffer.concat(chunks).toString('utf8'), stderr };
}
