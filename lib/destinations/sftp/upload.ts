import { setTimeout as wait } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { orAbort, settled } from '../../abort.ts';
import { BlockPool } from '../../bytes/block-pool.ts';
import { BackupError, throwIfAborted } from '../../errors.ts';
import type { SftpChannel } from './channel.ts';
import { isMissing, isStatus, isUnsupported } from './failures.ts';
import { pathOf, whyNotWritten } from './folders.ts';
import type { SftpPlace } from './place.ts';
import type { Loan } from './pool.ts';
import { READ_BLOCK_BYTES, REQUEST_BYTES, readAhead } from './read-ahead.ts';

/** Bytes that may be under way: at 20 ms of round trip enough for 200 MB/s. They are held until confirmed. */
const MOST_UNDER_WAY = 4 * 1024 * 1024;
/** Once so much is under way, more is sent when it has come down to this. */
const ENOUGH_UNDER_WAY = 3 * 1024 * 1024;
/** How often in a row an upload that broke is taken up without having got anywhere. */
const RESUMES = 3;
const BETWEEN_TRIES_MS = 500;
/** How long the closing of a file of a failed upload is waited for, in ms. */
const CLOSE_MS = 500;

/** Some bytes that were sent. */
interface Part {
  readonly position: number;
  readonly bytes: Buffer;
  /** The chunk that is done with when this part is. */
  readonly chunk: Buffer | undefined;
  confirmed: boolean;
}

/** A file that is open on the server. */
interface Session {
  readonly loan: Loan;
  readonly handle: Buffer;
}

/**
 * Writes a temporary file with many requests under way. When the connection breaks, another one goes on with
 * what was not confirmed, after it has read back what was: a server that went down with its machine may have
 * lost confirmed bytes.
 */
export class Upload {
  readonly #place: SftpPlace;
  readonly #signal: AbortSignal;
  readonly #release: (chunk: Buffer) => void;
  /** Sent and not confirmed, or confirmed before an earlier one. */
  readonly #parts: Part[] = [];
  #session: Session | undefined;
  #opening: Promise<unknown> = Promise.resolve();
  /** Bytes that wait to become a part: many small chunks are one request. */
  readonly #gathering = Buffer.allocUnsafe(REQUEST_BYTES);
  #gathered = 0;
  #sent = 0;
  /** Bytes from the beginning that the server has confirmed, and their CRC-32. */
  #confirmed = 0;
  #sum = 0;
  #refusal: unknown;
  #breakage: BackupError | undefined;
  #resumes = 0;
  #wake: (() => void) | undefined;

  /** @param release is told each chunk that was added once nothing of it is needed any more */
  constructor(place: SftpPlace, signal: AbortSignal, release: (chunk: Buffer) => void) {
    this.#place = place;
    this.#signal = signal;
    this.#release = release;
  }

  /** @param create makes the file, and gives its handle */
  open(create: (channel: SftpChannel) => Promise<Buffer>): Promise<void> {
    return this.#openWith(create);
  }

  /** Takes a chunk; resolves when there is room for the next one. */
  async add(chunk: Buffer): Promise<void> {
    let at = 0;
    let isKept = false;
    while (at < chunk.length) {
      const left = chunk.length - at;
      if (this.#gathered > 0 || left < REQUEST_BYTES) {
        at += this.#gather(chunk.subarray(at));
      } else {
        const bytes = chunk.subarray(at, at + REQUEST_BYTES);
        at += bytes.length;
        isKept = true;
        const isLast = chunk.length - at < REQUEST_BYTES;
        this.#send(bytes, isLast ? chunk : undefined);
        // What is left is copied before anything can be confirmed, and the chunk released.
        if (isLast && at < chunk.length) continue;
      }
      await this.#room();
    }
    if (!isKept) this.#release(chunk);
    // Bytes that trickle are sent when nothing else is under way.
    if (this.#parts.length === 0) this.#flush();
  }

  /**
   * After the last chunk: resolves when the server holds all bytes, on its disk where it can tell.
   * @returns how many
   */
  async finish(): Promise<number> {
    this.#flush();
    for (;;) {
      await this.#room(0);
      const session = this.#session;
      if (session === undefined) continue;
      try {
        await this.#close(session);
        session.loan.giveBack();
        this.#session = undefined;
        return this.#sent;
      } catch (error) {
        throwIfAborted(this.#signal);
        if (isStatus(error)) throw await this.#explain(error, session);
        if (!(error instanceof BackupError) || error.code === 'incomplete') throw error;
        this.#lose(session, error);
      }
    }
  }

  /** Ends a failed upload; the file is closed afterwards, unless the server hangs. Never rejects. */
  async stop(): Promise<void> {
    this.#wake = undefined;
    await settled(this.#opening, CLOSE_MS);
    const session = this.#session;
    this.#session = undefined;
    this.#parts.length = 0;
    if (session === undefined) return;
    await settled(session.loan.channel.closeFile(session.handle), CLOSE_MS);
    session.loan.giveBack();
  }

  /** @returns how much of it was taken */
  #gather(bytes: Buffer): number {
    const taken = bytes.copy(this.#gathering, this.#gathered);
    this.#gathered += taken;
    if (this.#gathered === REQUEST_BYTES) this.#flush();
    return taken;
  }

  #flush(): void {
    if (this.#gathered === 0) return;
    const bytes = Buffer.from(this.#gathering.subarray(0, this.#gathered));
    this.#gathered = 0;
    this.#send(bytes, undefined);
  }

  #send(bytes: Buffer, chunk: Buffer | undefined): void {
    const part = { position: this.#sent, bytes, chunk, confirmed: false };
    this.#sent += bytes.length;
    this.#parts.push(part);
    if (this.#session !== undefined) this.#transmit(part, this.#session);
  }

  #transmit(part: Part, session: Session): void {
    session.loan.channel.write(session.handle, part.bytes, part.position).then(
      () => {
        if (this.#session === session) this.#confirm(part);
      },
      (error: unknown) => {
        if (this.#session !== session) return;
        if (isStatus(error)) this.#refusal ??= error;
        else this.#lose(session, error as BackupError);
        this.#wake?.();
      },
    );
  }

  #confirm(part: Part): void {
    part.confirmed = true;
    for (let first = this.#parts[0]; first?.confirmed; first = this.#parts[0]) {
      this.#parts.shift();
      this.#sum = crc32(first.bytes, this.#sum);
      this.#confirmed += first.bytes.length;
      this.#resumes = 0;
      if (first.chunk !== undefined) this.#release(first.chunk);
    }
    if (this.#parts.length === 0) this.#flush();
    if (this.#underWay <= ENOUGH_UNDER_WAY) this.#wake?.();
  }

  get #underWay(): number {
    return this.#sent - this.#confirmed;
  }

  #lose(session: Session, why: BackupError): void {
    if (this.#session !== session) return;
    this.#session = undefined;
    this.#breakage = why;
    session.loan.giveBack();
  }

  /** Waits until not more than that is under way, on a new connection if need be. */
  async #room(mostUnderWay = MOST_UNDER_WAY): Promise<void> {
    for (let most = mostUnderWay; ; most = Math.min(mostUnderWay, ENOUGH_UNDER_WAY)) {
      throwIfAborted(this.#signal);
      const session = this.#session;
      if (session === undefined) await this.#resume();
      else if (this.#refusal !== undefined) throw await this.#explain(this.#refusal, session);
      else if (this.#underWay <= most) return;
      else await this.#progress();
    }
  }

  async #progress(): Promise<void> {
    const progress = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    await orAbort(progress, this.#signal);
  }

  async #resume(): Promise<void> {
    const { storage, path } = this.#place;
    this.#resumes += 1;
    const endsAt = performance.now() + storage.options.timeout * 1000;
    for (;;) {
      if (this.#resumes > RESUMES) throw storage.failure(this.#breakage, `write ${path}`);
      try {
        await this.#openWith((channel) => this.#reopen(channel));
        return;
      } catch (error) {
        throwIfAborted(this.#signal);
        const failure = storage.failure(error, `write ${path}`);
        const hopeless = !failure.transient || failure.code === 'incomplete';
        if (hopeless || performance.now() > endsAt) throw failure;
      }
      await wait(BETWEEN_TRIES_MS, undefined, { signal: this.#signal }).catch(() => undefined);
    }
  }

  /** Opens the file on a channel of its own, and sends what was not confirmed. */
  async #openWith(open: (channel: SftpChannel) => Promise<Buffer>): Promise<void> {
    const loan = await this.#place.storage.lend(`write ${this.#place.path}`, this.#signal);
    const opening = open(loan.channel);
    this.#opening = opening;
    try {
      const session = { loan, handle: await orAbort(opening, this.#signal) };
      this.#session = session;
      for (const part of this.#parts) {
        part.confirmed = false;
        this.#transmit(part, session);
      }
    } catch (error) {
      // Should it be opened after all.
      opening.then((handle) => loan.channel.closeFile(handle)).catch(() => undefined);
      loan.giveBack();
      throw error;
    }
  }

  async #reopen(channel: SftpChannel): Promise<Buffer> {
    const { temporary, path } = this.#place;
    const handle = await channel.open(pathOf(channel, temporary), 'r+').catch((error: unknown) => {
      throw isMissing(error) ? lost(path) : error;
    });
    try {
      if ((await channel.fstat(handle)).size < this.#confirmed) throw lost(path);
      const blocks = new BlockPool(READ_BLOCK_BYTES, 2);
      let sum = 0;
      for await (const block of readAhead(channel, handle, { start: 0, end: this.#confirmed }, blocks)) {
        throwIfAborted(this.#signal);
        sum = crc32(block, sum);
        blocks.release(block);
      }
      if (sum !== this.#sum) throw lost(path);
      return handle;
    } catch (error) {
      channel.closeFile(handle).catch(() => undefined);
      throw error;
    }
  }

  async #close({ loan: { channel }, handle }: Session): Promise<void> {
    try {
      await orAbort(channel.fsync(handle), this.#signal);
    } catch (error) {
      if (!isUnsupported(error)) throw error;
    }
    const { size } = await orAbort(channel.fstat(handle), this.#signal);
    if (size !== this.#sent) {
      const text = `The SFTP server holds ${size} of ${this.#sent} bytes of ${this.#place.path}`;
      throw new BackupError('incomplete', text, { transient: true });
    }
    await orAbort(channel.closeFile(handle), this.#signal);
  }

  async #explain(refusal: unknown, { loan: { channel } }: Session): Promise<unknown> {
    const { storage, path } = this.#place;
    return await orAbort(
      whyNotWritten(channel, refusal, `write ${path} on ${storage.location}`),
      this.#signal,
    );
  }
}

function lost(path: string): BackupError {
  const text = `The SFTP server has lost bytes of ${path} that it had confirmed: it must be sent anew`;
  return new BackupError('incomplete', text, { transient: true });
}
