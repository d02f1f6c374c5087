import type { Socket } from 'node:net';
import type { FTPResponse } from 'basic-ftp';
import { orAbort, orTimeout, settled } from '../../abort.ts';
import { BLOCK_BYTES } from '../../bytes/stream.ts';
import { abortError, BackupError } from '../../errors.ts';
import type { FtpConnection } from './connection.ts';
import { openDataSocket } from './data-socket.ts';
import { replyCode } from './failures.ts';

/** Most bytes that wait in memory for the network. */
const MAX_IN_FLIGHT_BYTES = 4 * BLOCK_BYTES;
/** How long a server may take, after the last byte, to write its caches through, in ms. */
const FINAL_REPLY_MS = 10 * 60_000;
/** How long the reply may take that explains why a data connection broke, in ms. */
const LAST_WORD_MS = 2000;
/** The same when the transfer is cancelled, which must not take long. */
const FAREWELL_MS = 500;

/** One command that moves bytes on a data connection, from its first reply (150) to its last (226). */
export class Transfer {
  readonly #connection: FtpConnection;
  readonly #socket: Socket;
  readonly #final: Promise<FTPResponse>;
  readonly #signal: AbortSignal;
  /** Aborts when the transfer cannot go on, with the reason as it came. */
  readonly #failing = new AbortController();
  readonly #stop: AbortSignal;
  #finalCame = false;
  #inFlight = 0;
  #progress: (() => void) | undefined;

  private constructor(
    connection: FtpConnection,
    socket: Socket,
    final: Promise<FTPResponse>,
    signal: AbortSignal,
  ) {
    this.#connection = connection;
    this.#socket = socket;
    this.#final = final;
    this.#signal = signal;
    this.#stop = AbortSignal.any([signal, this.#failing.signal]);
    final.then(
      () => {
        this.#finalCame = true;
      },
      (error: unknown) => {
        this.#finalCame = true;
        this.#failing.abort(error);
      },
    );
    socket.on('error', (error) => this.#failing.abort(error));
  }

  /**
   * Opens the data connection and sends the command; resolves when bytes can flow.
   * @throws what failed, as it came; the connection can be used again after a refusal
   */
  static async start(connection: FtpConnection, command: string, signal: AbortSignal): Promise<Transfer> {
    const { socket, secured } = await openDataSocket(connection, signal);
    let accept = (): void => {};
    const accepted = new Promise<void>((resolve) => {
      accept = resolve;
    });
    const final: Promise<FTPResponse> = connection.client.ftp.handle(command, (reply, task) => {
      if (reply instanceof Error) task.reject(reply);
      else if (reply.code < 200) accept();
      else if (reply.code < 300) task.resolve(reply);
      else task.reject(new Error(`The server expects more than FTP says: ${reply.message}`));
    });
    const transfer = new Transfer(connection, socket, final, signal);
    try {
      await transfer.#until(Promise.race([accepted, final]));
      // Silence is no fault from now on: the bytes flow elsewhere.
      connection.client.ftp.socket.setTimeout(0);
      await transfer.#until(transfer.#steady(secured, 'encrypted'));
      return transfer;
    } catch (error) {
      throw await transfer.fail(error);
    }
  }

  /** Before the first `send`: listens for a server that closes the data connection. */
  upload(): void {
    this.#socket.once('end', () => {
      if (!this.#socket.writableEnded)
        this.#failing.abort(new Error('The server closed the data connection'));
    });
    this.#socket.resume();
  }

  /** Waits for work that is not the server's, such as the next chunk of a producer. */
  async whileGoing<T>(work: Promise<T>): Promise<T> {
    return await this.#until(work);
  }

  /** Sends a chunk; resolves when there is room for the next one. */
  async send(chunk: Buffer, sent: (chunk: Buffer) => void): Promise<void> {
    this.#inFlight += chunk.length;
    this.#socket.write(chunk, (error) => {
      if (error) this.#failing.abort(error);
      this.#inFlight -= chunk.length;
      sent(chunk);
      this.#progress?.();
    });
    await this.#drained(MAX_IN_FLIGHT_BYTES);
  }

  /** After the last byte: resolves with the server's word that it holds them all. */
  async finish(): Promise<FTPResponse> {
    await this.#drained(0);
    // Node can send FIN before the end of the TLS handshake is out, should no byte have been written.
    await this.#until(this.#steady(this.#flushed(), 'took'));
    this.#socket.end();
    return await this.final();
  }

  /** The last reply. @throws what the server says went wrong, as it came */
  async final(): Promise<FTPResponse> {
    const late = () => this.#stalled('confirmed', FINAL_REPLY_MS);
    const reply = await this.#until(orTimeout(this.#final, FINAL_REPLY_MS, late));
    this.#socket.destroy();
    return reply;
  }

  /** Chunks that the server sends. Ending it early leaves the transfer to be cancelled. */
  async *received(): AsyncGenerator<Buffer, undefined> {
    const chunks = this.#socket.iterator({ destroyOnReturn: false });
    for (;;) {
      const next: IteratorResult<unknown> = await this.#until(this.#steady(chunks.next(), 'gave'));
      if (next.done === true) return;
      yield next.value as Buffer;
    }
  }

  /**
   * Ends it at once. The connection can be used again if the server says its last word soon; else it is
   * closed.
   */
  async cancel(): Promise<void> {
    this.#socket.destroy();
    await settled(this.#final, this.#signal.aborted ? FAREWELL_MS : LAST_WORD_MS);
    if (!this.#finalCame) this.#connection.close();
  }

  /** Ends it at once; resolves with why it failed: the server's reason rather than that of the socket. */
  async fail(error: unknown): Promise<unknown> {
    const { aborted, reason } = this.#failing.signal;
    await this.cancel();
    if (this.#signal.aborted) return abortError(this.#signal);
    if (!aborted || error !== reason || !this.#finalCame) return error;
    return await this.#final.then(
      () => error,
      (said: unknown) => (replyCode(said) === undefined ? error : said),
    );
  }

  async #flushed(): Promise<void> {
    await new Promise((resolve) => this.#socket.write(Buffer.alloc(0), resolve));
  }

  async #drained(bytes: number): Promise<void> {
    while (this.#inFlight > bytes) {
      const progress = new Promise<void>((resolve) => {
        this.#progress = resolve;
      });
      await this.#until(this.#steady(progress, 'took'));
    }
  }

  /** Waits for the work, and for nothing any more once the transfer has failed or is aborted. */
  async #until<T>(work: Promise<T>): Promise<T> {
    try {
      return await orAbort(work, this.#stop);
    } catch (error) {
      if (this.#signal.aborted || !this.#failing.signal.aborted) throw error;
      throw this.#failing.signal.reason;
    }
  }

  #steady<T>(work: Promise<T>, verb: string): Promise<T> {
    const limitMs = this.#connection.timeoutMs;
    return orTimeout(work, limitMs, () => this.#stalled(verb, limitMs));
  }

  #stalled(verb: string, limitMs: number): BackupError {
    const text = `The FTP server ${verb} nothing for ${limitMs / 1000} s: check it and its network`;
    return new BackupError('stalled', text, { transient: true });
  }
}
