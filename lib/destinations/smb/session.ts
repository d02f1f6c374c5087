import { randomBytes } from 'node:crypto';
import { orAbort, orTimeout } from '../../abort.ts';
import { BackupError, throwIfAborted } from '../../errors.ts';
import { type Client, startClient } from './client.ts';
import { isRefusal, loginFailure, oncePassed, refusalIn, SmbRefusal } from './failures.ts';
import { type SmbOptions, smbLocation } from './options.ts';

/**
 * When smbclient is nudged, in ms after a command, and then again and again. It reads ahead of the line that it
 * works on, but wakes only for what it has not read yet: a line that it has read along with the one before waits
 * until something follows it.
 */
const NUDGES_MS = [1, 4, 15, 80];

/**
 * A run of smbclient that works off one command after the other. It is never given the content of a file on its
 * input: as soon as it does not expect one any more it takes it for commands, of which one runs a shell.
 */
export class SmbSession {
  readonly options: SmbOptions;
  readonly #client: Client;
  readonly #news: News;
  readonly #timeoutMs: number;
  #closed = false;
  #downloading = false;

  private constructor(options: SmbOptions, client: Client, news: News) {
    this.options = options;
    this.#client = client;
    this.#news = news;
    this.#timeoutMs = options.timeout * 1000;
    const { stdout, exited } = client.tool;
    stdout.on('readable', () => {
      // Nothing comes by itself but the end, which is told to those who read.
      if (!this.#downloading) stdout.read();
      news.wake();
    });
    void exited.then(() => {
      this.#closed = true;
      news.wake();
    });
  }

  /**
   * Connects and logs in, for which there is twice the time.
   * @throws BackupError
   */
  static async open(options: SmbOptions, signal: AbortSignal): Promise<SmbSession> {
    throwIfAborted(signal);
    const news = new News();
    const run = {
      args: [],
      subject: `smbclient to ${smbLocation(options)}`,
      heard: (line: string) => news.heard(line),
    };
    const client = await startClient(options, run, NEVER);
    const session = new SmbSession(options, client, news);
    try {
      const said = await session.#outcome(signal, { patience: 2 });
      if (said === undefined)
        throw loginFailure(await session.#lastWords(), `connect to ${smbLocation(options)}`);
      return session;
    } catch (error) {
      session.close();
      throw error;
    } finally {
      void client.files.remove();
    }
  }

  get usable(): boolean {
    return !this.#closed;
  }

  /**
   * Gives a command, and waits until it is done; again while something that passes soon is in its way.
   * @returns what smbclient said
   * @throws SmbRefusal when it did not succeed
   * @throws BackupError `stalled`, `aborted`; the session is closed then
   */
  async command(text: string, signal: AbortSignal): Promise<readonly string[]> {
    return await oncePassed(signal, async () => {
      this.#tell(text, signal);
      return await this.#success(signal);
    });
  }

  /** The same where success says nothing: whatever is said is a refusal. */
  async order(text: string, signal: AbortSignal): Promise<void> {
    const said = await this.command(text, signal);
    if (said.length > 0) throw new SmbRefusal(said);
  }

  /**
   * Gets a whole file.
   * @param path in quotes
   * @param bytes that it has
   * @param turn to be told when it is the server's turn
   * @returns the chunks; leaving them early closes the session, a refusal does not
   * @throws SmbRefusal, BackupError
   */
  async *download(
    path: string,
    bytes: number,
    turn: ServerTurn,
    signal: AbortSignal,
  ): AsyncGenerator<Buffer, void> {
    const { stdout } = this.#client.tool;
    let received = 0;
    let isDone = false;
    let nudging: { stop(): void } | undefined;
    this.#downloading = true;
    const refuseMore = () => {
      if (received === bytes && stdout.readableLength > 0) throw changed(path);
    };
    try {
      this.#tell(`get ${path} -`, signal);
      nudging = this.#nudge('\n');
      let said: readonly string[] | undefined;
      while (said === undefined || received < bytes) {
        throwIfAborted(signal);
        const chunk = stdout.read() as Buffer | null;
        if (chunk !== null || this.#news.lines.length > 0) nudging.stop();
        if (chunk !== null) {
          received += chunk.length;
          if (received > bytes) throw changed(path);
          yield chunk;
        } else if (said === undefined && (received === bytes || this.#news.lines.length > 0)) {
          // It says how it went as soon as it has given all, or nothing.
          said = await this.#success(signal, refuseMore);
          if (announcedBytes(said) !== bytes) throw changed(path);
        } else if (this.#closed) {
          throw new SmbRefusal(await this.#lastWords());
        } else {
          turn.begin();
          await orAbort(this.#news.wait(), signal);
          turn.over();
        }
      }
      isDone = true;
    } catch (error) {
      isDone = received === 0 && isRefusal(error);
      throw error;
    } finally {
      nudging?.stop();
      turn.over();
      this.#downloading = false;
      if (!isDone) this.close();
    }
  }

  /** Ends smbclient at once. */
  close(): void {
    this.#closed = true;
    void this.#client.tool.stop(new BackupError('aborted', 'The connection was closed'));
  }

  /** Whether our process waits for this one. */
  keepAlive(wanted: boolean): void {
    this.#client.tool.keepAlive(wanted);
  }

  #tell(command: string, signal: AbortSignal): void {
    throwIfAborted(signal);
    this.#news.lines.length = 0;
    this.#client.tool.stdin.write(`${command}\n`);
  }

  async #success(signal: AbortSignal, watch = () => {}): Promise<readonly string[]> {
    const said = await this.#outcome(signal, { watch });
    if (said === undefined) throw new SmbRefusal(await this.#lastWords());
    const refusal = refusalIn(said);
    if (refusal === undefined) return said;
    if (!refusal.answered) this.close();
    throw refusal;
  }

  /**
   * Asks until smbclient is done with the command, by one that it does not know.
   * @returns what it said until then; undefined when it has ended
   */
  async #outcome(
    signal: AbortSignal,
    { watch = () => {}, patience = 1 }: { readonly watch?: () => void; readonly patience?: number },
  ): Promise<string[] | undefined> {
    const limitMs = this.#timeoutMs * patience;
    const { lines } = this.#news;
    const question = `done-${randomBytes(8).toString('hex')}`;
    const answer = `${question}: command not found`;
    // Not with the command: then it is mostly read by itself, and answered without a nudge.
    const nudging = this.#nudge(`${question}\n`);
    try {
      while (lines.at(-1) !== answer) {
        if (this.#closed) return undefined;
        watch();
        await orTimeout(orAbort(this.#news.wait(), signal), limitMs, () => this.#stalled(limitMs));
      }
      return lines.splice(0).slice(0, -1);
    } catch (error) {
      // What it still says must not be taken for the outcome of the next command.
      this.close();
      throw error;
    } finally {
      nudging.stop();
    }
  }

  /** Writes this soon, and then empty lines. */
  #nudge(first: string): { stop(): void } {
    const { stdin } = this.#client.tool;
    let count = 0;
    const write = () => {
      stdin.write(count === 0 ? first : '\n');
      count += 1;
      timer = setTimeout(write, NUDGES_MS[count] ?? NUDGES_MS.at(-1));
    };
    let timer = setTimeout(write, NUDGES_MS[0]);
    return { stop: () => clearTimeout(timer) };
  }

  async #lastWords(): Promise<readonly string[]> {
    const { stderr } = await this.#client.tool.exited;
    return stderr;
  }

  #stalled(limitMs: number): BackupError {
    const text = `${smbLocation(this.options)} did not answer for ${limitMs / 1000} s: check the server and its network`;
    return new BackupError('stalled', text, { transient: true });
  }
}

export interface ServerTurn {
  begin(): void;
  over(): void;
}

const NEVER = new AbortController().signal;

/** What smbclient has said, and who waits for more. */
class News {
  readonly lines: string[] = [];
  #wake: (() => void) | undefined;

  heard(line: string): void {
    this.lines.push(line);
    this.wake();
  }

  wake(): void {
    this.#wake?.();
  }

  /** Resolves with the next line, bytes or end. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** `getting file \path of size 17 as - (2.4 KiloBytes/sec) (average …)` */
function announcedBytes(lines: readonly string[]): number | undefined {
  const size = /of size (\d+) as - \(/.exec(lines.at(-1) ?? '')?.[1];
  return size === undefined ? undefined : Number(size);
}

function changed(path: string): BackupError {
  return new BackupError('incomplete', `${path} was changed in the share while it was read`, {
    transient: true,
  });
}
