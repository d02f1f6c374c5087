import type { ByteStream } from '../../bytes/stream.ts';
import { BackupError, toBackupError } from '../../errors.ts';
import { type ToolCommand, ToolProcess } from './tool-process.ts';

export interface ToolDump {
  /** What the tool writes to stdout; to be read once. Ends the tool when it is left early. */
  readonly stream: ByteStream;
  /**
   * Resolves with the lines of stderr when every byte was taken and the tool has ended with exit code 0.
   * Rejects else. Handled already.
   */
  readonly ended: Promise<readonly string[]>;
  /** Ends the tool, if it still runs, and waits until it is gone. */
  stop(reason: BackupError): Promise<void>;
}

/**
 * Starts a tool that dumps to stdout.
 * @param inspect sees each chunk before it is given out; what it throws ends the dump
 * @throws BackupError `aborted`
 */
export function startToolDump(
  command: ToolCommand,
  signal: AbortSignal,
  inspect: (chunk: Buffer) => void = () => undefined,
): ToolDump {
  const tool = new ToolProcess(command, signal);
  tool.stdin.end();
  const { promise: drained, resolve, reject } = Promise.withResolvers<void>();
  drained.catch(() => undefined);
  const early = new BackupError('aborted', `${command.subject} was ended before all bytes were read`);

  async function* read(): AsyncGenerator<Buffer, void> {
    let whole = false;
    try {
      for await (const chunk of tool.stdout as AsyncIterable<Buffer>) {
        inspect(chunk);
        yield chunk;
      }
      // The bytes of a tool that died look like those of one that was done: the end comes only after its exit.
      await tool.succeeded();
      whole = true;
      resolve();
    } catch (error) {
      const failure = await accountOf(tool, toBackupError(error, command.subject));
      reject(failure);
      throw failure;
    } finally {
      if (!whole) {
        reject(early);
        await tool.stop(early);
      }
    }
  }

  const ended = Promise.all([drained, tool.succeeded()]).then(([, stderr]) => stderr);
  ended.catch(() => undefined);
  return {
    stream: once(read(), tool, early, command.subject),
    ended,
    stop: (reason) => tool.stop(reason),
  };
}

/** Ends the tool. Why it ended by itself, or was stopped before, tells more than the stream that broke. */
async function accountOf(tool: ToolProcess, failure: BackupError): Promise<BackupError> {
  await tool.stop(failure);
  return tool.succeeded().then(
    () => failure,
    (account: unknown) => toBackupError(account),
  );
}

/** A generator that was never started would not notice that nobody wants it. */
function once(
  chunks: AsyncGenerator<Buffer, void>,
  tool: ToolProcess,
  early: BackupError,
  subject: string,
): ByteStream {
  let started = false;
  return {
    [Symbol.asyncIterator]() {
      if (started) throw new BackupError('internal', `${subject} can be read only once`);
      started = true;
      return {
        next: () => chunks.next(),
        async return() {
          await tool.stop(early);
          await chunks.return();
          return { done: true, value: undefined };
        },
      };
    },
  };
}
