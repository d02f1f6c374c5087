import type { ByteStream } from '../bytes/stream.ts';
import { abortError, BackupError, throwIfAborted, toBackupError } from '../errors.ts';
import { SILENCE_MS, SilenceWatch } from './silence.ts';
import { ToolOutput } from './tool-output.ts';
import { type ToolCommand, ToolProcess } from './tool-process.ts';

export interface ToolDump {
  /**
   * What the tool writes to stdout, in blocks of up to 1 MiB that may be given back; to be read once. Ends the
   * tool when it is left early.
   */
  readonly stream: ByteStream;
  /**
   * Resolves with the lines of stderr when every byte was taken and the tool has ended with exit code 0.
   * Rejects else, and not before the tool is gone. Handled already.
   */
  readonly ended: Promise<readonly string[]>;
  /** Ends the tool, if it still runs, and waits until it is gone. */
  stop(reason: BackupError): Promise<void>;
}

/**
 * Starts a tool that dumps to stdout.
 * @param inspect sees each chunk before it is given out; what it throws ends the dump
 * @param silenceMs a tool that writes nothing for so long, though it is waited for, hangs and is ended
 * @throws BackupError `aborted`
 */
export function startToolDump(
  command: ToolCommand,
  signal: AbortSignal,
  inspect: (chunk: Buffer) => void = () => undefined,
  silenceMs: number = SILENCE_MS,
): ToolDump {
  throwIfAborted(signal);
  const { subject } = command;
  const starting = start(command, signal);
  const { promise: drained, resolve, reject } = Promise.withResolvers<void>();
  // A tool that has written all and has ended hears of no abort, though nobody may ever read it.
  const onAbort = () => reject(abortError(signal));
  signal.addEventListener('abort', onAbort, { once: true });
  starting.catch(reject);
  drained.catch(() => undefined).finally(() => signal.removeEventListener('abort', onAbort));
  const early = new BackupError('aborted', `${subject} was ended before all bytes were read`);
  const stop = async (reason: BackupError) => {
    const started = await starting.catch(() => undefined);
    await started?.tool.stop(reason);
    reject(reason);
  };

  async function* read(): AsyncGenerator<Buffer, void> {
    let whole = false;
    const silence = new SilenceWatch(silenceMs, () => void stop(hangs(subject, silenceMs)));
    try {
      const { tool, chunks } = await starting;
      silence.wait();
      for await (const chunk of chunks) {
        silence.heard();
        inspect(chunk);
        yield chunk;
        silence.wait();
      }
      // The bytes of a tool that died look like those of one that was done: the end comes only after its exit.
      await tool.succeeded();
      whole = true;
      resolve();
    } catch (error) {
      const failure = await accountOf(starting, toBackupError(error, subject));
      reject(failure);
      throw failure;
    } finally {
      silence.heard();
      if (!whole) await stop(early);
    }
  }

  const ended = starting
    .then(async ({ tool }) => {
      // Nothing may be left of it when its proof settles; an abort is told sooner by `drained`.
      await tool.exited;
      return await Promise.all([tool.succeeded(), drained]);
    })
    .then(([stderr]) => stderr);
  ended.catch(() => undefined);
  const release = (chunk: Buffer) =>
    void starting.then(
      ({ chunks }) => chunks.release?.(chunk),
      () => undefined,
    );
  return { stream: onlyOnce(read(), release, () => stop(early), subject), ended, stop };
}

function hangs(subject: string, silenceMs: number): BackupError {
  return new BackupError(
    'stalled',
    `${subject} has written nothing for ${Math.ceil(silenceMs / 60_000)} minutes and was ended: see whether its server hangs, or the tool does`,
    { transient: true },
  );
}

interface Started {
  readonly tool: ToolProcess;
  readonly chunks: ByteStream;
}

/** @throws BackupError `aborted`, or when the tool cannot be run at all */
async function start(command: ToolCommand, signal: AbortSignal): Promise<Started> {
  // Where it cannot be had, Node's own pipe does as well, only slower.
  const output = await ToolOutput.open().catch(() => undefined);
  try {
    const tool = new ToolProcess(command, signal, output);
    tool.stdin.end();
    return { tool, chunks: output ?? (tool.stdout as AsyncIterable<Buffer>) };
  } catch (error) {
    output?.ours.destroy();
    throw error;
  } finally {
    output?.theirs.destroy();
  }
}

/** Ends the tool. Why it ended by itself, or was stopped before, tells more than the stream that broke. */
async function accountOf(starting: Promise<Started>, failure: BackupError): Promise<BackupError> {
  try {
    const { tool } = await starting;
    await tool.stop(failure);
    await tool.succeeded();
    return failure;
  } catch (account) {
    return toBackupError(account);
  }
}

/** A generator that was never started would not notice that nobody wants it. */
function onlyOnce(
  chunks: AsyncGenerator<Buffer, void>,
  release: (chunk: Buffer) => void,
  stop: () => Promise<void>,
  subject: string,
): ByteStream {
  let started = false;
  return {
    release,
    [Symbol.asyncIterator]() {
      if (started) throw new BackupError('internal', `${subject} can be read only once`);
      started = true;
      return {
        next: () => chunks.next(),
        async return() {
          await stop();
          await chunks.return();
          return { done: true, value: undefined };
        },
      };
    },
  };
}
