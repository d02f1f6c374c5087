import type { Duplex } from 'node:stream';
import { settled } from '../../abort.ts';
import { toBackupError } from '../../errors.ts';
import type { Connection, FarEnd } from './transport.ts';

/**
 * What rsync starts instead of a remote shell: it tells us the command over file descriptor 3 of rsync, up to a NUL,
 * and carries the bytes of both directions through the same. So the connection is ours: made, checked, measured and
 * ended in this process, with no secret in a file, an argument or the environment, and the same for both transports.
 */
export const RELAY = `sh -c 'printf "%s\\000" "$*" >&3; exec 4<&0; cat <&4 >&3 4<&- & exec cat <&3 4<&-'`;

/** How long the far side may take to end when ours has, in ms: then it does nothing more in the storage. */
const LINGER_MS = 700;
/** A longer command is none of ours. */
const MAX_COMMAND_BYTES = 64 * 1024;

/** The bytes between the rsync of this host and that of the storage. */
export class Wire {
  /** Resolves when the far side has ended, or was given up; never rejects. */
  readonly over: Promise<void>;
  #sent = 0;
  #received = 0;
  #failure: Error | undefined;
  #far: FarEnd | undefined;
  readonly #near: Duplex;
  readonly #onLife: () => void;
  readonly #nearDied = Promise.withResolvers<void>();
  #nearGone = false;

  /**
   * @param near file descriptor 3 of rsync, from our side
   * @param onLife called when bytes come from the far side, or are taken by it
   * @param onFailure called when the far side cannot be opened
   */
  constructor(near: Duplex, connection: Connection, onLife: () => void, onFailure: (error: unknown) => void) {
    this.#near = near;
    this.#onLife = onLife;
    near.on('error', () => undefined);
    this.over = this.#carry(connection).catch((error: unknown) => {
      this.#failure ??= toBackupError(error);
      onFailure(error);
    });
  }

  /** Bytes that went to the far side and came from there. */
  get bytes(): { readonly sent: number; readonly received: number } {
    return { sent: this.#sent, received: this.#received };
  }

  /** What broke the connection, and what the far side said beside the protocol. */
  get said(): string[] {
    const broke = this.#failure === undefined ? [] : [`the connection broke: ${this.#failure.message}`];
    return [...(this.#far?.said() ?? []), ...broke];
  }

  /** The rsync of this host is gone: what it has written is still passed on, as far as it will be taken. */
  nearEnded(): void {
    this.#nearGone = true;
    this.#nearDied.resolve();
    this.#near.resume();
  }

  async #carry(connection: Connection): Promise<void> {
    const head = await readCommand(this.#near);
    if (head === undefined) return;
    const far = await this.#open(connection, head.command);
    if (far === undefined) return;
    this.#far = far;
    const { stream } = far;
    const closed = new Promise<void>((resolve) => {
      stream.once('close', resolve);
      if (stream.destroyed) resolve();
    });
    stream.on('error', (error) => {
      this.#failure ??= error;
    });
    this.#pass(stream, this.#near, (bytes) => {
      this.#received += bytes;
      this.#onLife();
    });
    const nearDone = this.#send(stream, head.rest);
    await Promise.race([closed, nearDone]);
    await settled(closed, LINGER_MS);
    stream.destroy();
    await nearDone;
  }

  /** @returns undefined when the rsync of this host has ended before a server that hangs opens anything */
  async #open(connection: Connection, command: string): Promise<FarEnd | undefined> {
    const opening = connection.open(command);
    const far = await Promise.race([opening, this.#nearDied.promise.then(() => undefined)]);
    if (far === undefined) {
      opening.then(({ stream }) => stream.on('error', () => undefined).destroy()).catch(() => undefined);
    }
    return far;
  }

  /** @returns resolves when rsync has closed its side */
  #send(far: Duplex, first: Buffer): Promise<void> {
    const near = this.#near;
    const ended = new Promise<void>((resolve) => {
      near.once('end', resolve);
      near.once('close', resolve);
    });
    if (first.length > 0) near.unshift(first);
    this.#pass(near, far, (bytes) => {
      this.#sent += bytes;
    });
    far.on('drain', this.#onLife);
    return ended;
  }

  #pass(from: Duplex, to: Duplex, count: (bytes: number) => void): void {
    from.on('data', (chunk: Buffer) => {
      count(chunk.length);
      if (to.destroyed || to.writableEnded || to.write(chunk)) return;
      if (from === this.#near && this.#nearGone) return;
      from.pause();
    });
    to.on('drain', () => from.resume());
    // What nobody takes any more must not keep the other side from ending.
    to.once('close', () => from.resume());
    const end = () => {
      if (!to.destroyed) to.end();
    };
    // A side that breaks has no end.
    from.once('end', end).once('close', end);
    // It may have broken before anybody listened.
    if (from.destroyed) end();
    else from.resume();
  }
}

/** @returns undefined when rsync ended before it asked for a connection */
function readCommand(near: Duplex): Promise<{ command: string; rest: Buffer } | undefined> {
  return new Promise((resolve) => {
    let head: Buffer = Buffer.alloc(0);
    const done = (result: { command: string; rest: Buffer } | undefined) => {
      near.off('data', onData).off('end', onEnd).off('close', onEnd);
      near.pause();
      resolve(result);
    };
    const onEnd = () => done(undefined);
    const onData = (chunk: Buffer) => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf(0);
      if (end >= 0) done({ command: head.toString('utf8', 0, end), rest: head.subarray(end + 1) });
      else if (head.length > MAX_COMMAND_BYTES) done(undefined);
    };
    near.on('data', onData).once('end', onEnd).once('close', onEnd);
  });
}
