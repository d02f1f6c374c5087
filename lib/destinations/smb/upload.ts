import { setTimeout as wait } from 'node:timers/promises';
import { settled } from '../../abort.ts';
import type { ByteStream } from '../../bytes/stream.ts';
import { abortError, BackupError, toBackupError } from '../../errors.ts';
import { writeTo } from '../../tool/feed-tool.ts';
import { StorageTurn } from '../storage-turn.ts';
import { type Client, startClient } from './client.ts';
import { refusalIn, SmbRefusal } from './failures.ts';
import { look } from './folders.ts';
import { sharePath } from './names.ts';
import type { SmbPlace } from './place.ts';

/** How often the share is asked whether the file is there, in ms; then again and again. */
const LOOKS_MS = [20, 20, 20, 40, 100];
/** How long a server may still take to make a file whose client was ended while it asked for it, in ms. */
const LATE_MS = 300;
/** How many times its timeout the server may take, after the last byte, to write its caches through. */
const FINAL_PATIENCE = 10;

/** A stream whose beginning was awaited already. */
export interface BegunStream {
  readonly first: IteratorResult<Buffer>;
  readonly rest: AsyncIterator<Buffer>;
  release(chunk: Buffer): void;
}

/**
 * A run of smbclient that stores its input under the temporary name of one object. It takes its command from the
 * arguments and ends with it, so that no byte of a dump can be taken for a command, whatever happens. The
 * arguments hold the name, in which a semicolon would end the command, but no secret.
 */
export class Upload {
  readonly #client: Client;
  readonly #turn: StorageTurn;

  private constructor(client: Client, turn: StorageTurn) {
    this.#client = client;
    this.#turn = turn;
  }

  /**
   * Connects, and waits until the file is open.
   * @throws SmbRefusal; BackupError `stalled`, `aborted`, `unavailable`
   */
  static async open(place: SmbPlace, signal: AbortSignal): Promise<Upload> {
    const { storage, path, temporary } = place;
    const turn = new StorageTurn({
      complaint: `${storage.location} took nothing of ${path}`,
      stallMs: storage.options.timeout * 1000,
      signal,
    });
    let upload: Upload | undefined;
    try {
      turn.begin();
      const folder = sharePath(storage.root, temporary.slice(0, -1));
      const args = [`--directory=${folder}`, `--command=put - "${temporary.at(-1)}"`];
      const run = { args, subject: `smbclient storing ${path}` };
      upload = new Upload(await startClient(storage.options, run, turn.signal), turn);
      await upload.#opened(place);
      turn.over();
      return upload;
    } catch (error) {
      turn.close();
      if (upload !== undefined) {
        await upload.#client.tool.stop(toBackupError(error));
        await wait(LATE_MS);
      }
      throw error;
    }
  }

  /**
   * Sends all bytes. The server may take its time only for them, not the producer's.
   * @returns how many they were; the server's account of them is to be compared
   * @throws BackupError of the stream, or of the signal; SmbRefusal
   */
  async send({ first, rest, release }: BegunStream): Promise<number> {
    const { tool } = this.#client;
    const turn = this.#turn;
    let sent = 0;
    let isWhole = false;
    async function* paced(): AsyncGenerator<Buffer, void> {
      for (let next = first; next.done !== true; next = await rest.next()) {
        sent += next.value.length;
        turn.begin();
        yield next.value;
        turn.over();
      }
      isWhole = true;
    }
    const input: ByteStream = { [Symbol.asyncIterator]: paced, release };
    try {
      await writeTo(tool, input);
      if (isWhole) {
        tool.stdin.end();
        turn.begin(FINAL_PATIENCE);
      }
      await this.#succeeded();
    } catch (error) {
      // It must not see the end of its input: nothing that came is to look like all.
      await tool.stop(toBackupError(error));
      throw error;
    } finally {
      turn.close();
    }
    if (isWhole) return sent;
    throw new BackupError('incomplete', `smbclient ended after ${sent} bytes, before it had them all`, {
      transient: true,
    });
  }

  /** It has read its settings, and its password, when the file is there. */
  async #opened({ storage, path, temporary }: SmbPlace): Promise<void> {
    const { tool, files } = this.#client;
    const { signal } = this.#turn;
    let hasEnded = false;
    const ended = tool.exited.then(() => {
      hasEnded = true;
    });
    for (let count = 0; ; count += 1) {
      await settled(ended, LOOKS_MS[count] ?? (LOOKS_MS.at(-1) as number));
      if (hasEnded) {
        await this.#succeeded();
        throw new BackupError('incomplete', `smbclient ended before it stored ${path}`, { transient: true });
      }
      const found = await storage.use(`write ${path}`, signal, (session) => look(session, temporary, signal));
      if (found !== undefined) break;
    }
    await files.remove();
  }

  /** Its exit code alone does not tell: some releases end with 0 in spite of a failure. */
  async #succeeded(): Promise<void> {
    const { tool } = this.#client;
    let failure: unknown;
    try {
      await tool.succeeded();
    } catch (error) {
      failure = error;
    }
    const { signal } = this.#turn;
    if (signal.aborted) throw abortError(signal);
    const { stderr, killedBy } = await tool.exited;
    if (killedBy !== undefined) throw failure;
    const refusal = refusalIn(stderr);
    if (refusal !== undefined) throw refusal;
    if (failure !== undefined) throw stderr.length > 0 ? new SmbRefusal(stderr) : failure;
  }
}
