import { once } from 'node:events';
import type { ByteStream } from '../bytes/stream.ts';
import { toBackupError } from '../errors.ts';
import { type ToolCommand, ToolProcess } from './tool-process.ts';

/**
 * Feeds a dump to a tool that loads it (`pg_restore`, `mariadb`). When the bytes turn out to be wrong the
 * tool is ended before it sees the end of its input, so that it cannot take what came for all.
 * @returns what it wrote to stderr, when it took every byte and ended with exit code 0
 * @throws BackupError of the stream, else of the tool
 */
export async function feedTool(
  command: ToolCommand,
  raw: ByteStream,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const tool = new ToolProcess(command, signal);
  tool.stdout.resume();
  try {
    await writeTo(tool, raw);
  } catch (error) {
    const failure = toBackupError(error);
    await tool.stop(failure);
    return await tool.succeeded().then(() => Promise.reject(failure));
  }
  tool.stdin.end();
  return tool.succeeded();
}

/**
 * Writes a stream to a tool's input, which stays open. Ends without an error when the tool ended first: its
 * exit tells why.
 * @throws BackupError of the stream
 */
export async function writeTo(tool: ToolProcess, raw: ByteStream): Promise<void> {
  const end = new Ending(tool.exited);
  const chunks = raw[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await end.or(chunks.next());
      if (next === undefined || next.done === true || tool.stdin.destroyed) return;
      if (tool.stdin.write(next.value, () => raw.release?.(next.value))) continue;
      await end.or(once(tool.stdin, 'drain').catch(() => undefined));
    }
  } finally {
    // Not awaited: a stream that hangs would not end before its next chunk.
    chunks.return?.().catch(() => undefined);
  }
}

/** The end of something, for those who wait for other things meanwhile, one after the other. */
class Ending {
  #ended = false;
  #interrupt: (() => void) | undefined;

  constructor(end: Promise<unknown>) {
    void end.then(() => {
      this.#ended = true;
      this.#interrupt?.();
    });
  }

  /**
   * Undefined when the end comes first. A new promise each time: racing one that lives long would keep what
   * every race has brought.
   */
  or<T>(work: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      this.#interrupt = () => resolve(undefined);
      work.then(resolve, reject);
      if (this.#ended) this.#interrupt();
    });
  }
}
