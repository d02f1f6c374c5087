import { orAbort, orTimeout, settled } from '../../abort.ts';
import { BackupError, throwIfAborted } from '../../errors.ts';
import { SharedOpening } from '../../shared-opening.ts';
import { connectSsh, isTooManySessions, type SshConnection } from '../../ssh/connection.ts';
import type { KnownHosts } from '../../ssh/known-hosts.ts';
import { SftpChannel } from './channel.ts';
import type { SftpOptions } from './options.ts';

/** Sessions on one connection: OpenSSH allows ten. Each has a process of its own on the server. */
export const MOST_CHANNELS = 8;
/** A connection that nobody needs is closed after that time, in ms. */
const IDLE_MS = 10_000;
/** One that was idle for longer is asked whether it is still there, in ms. */
const TRUSTED_MS = 1000;
const PING_MS = 5000;

export interface Loan {
  readonly channel: SftpChannel;
  giveBack(): void;
}

interface Lane {
  readonly channel: SftpChannel;
  users: number;
}

/** A connection with its channels. */
interface Line {
  readonly connection: SshConnection;
  readonly lanes: Lane[];
  /** Those that use it, or are about to. */
  users: number;
  /** Channels that are being opened. */
  readonly opening: Set<Promise<Lane>>;
  /** How many the server allows. */
  limit: number;
  idleSince: number;
  closes: NodeJS.Timeout | undefined;
}

/**
 * The connection of one storage: opened when needed, kept for a short while, replaced when it breaks, and never
 * keeping the process alive when it is idle. Each user gets a channel of its own while there are enough of them:
 * a server that writes the caches of one file through keeps only its own channel waiting.
 */
export class SftpPool {
  readonly #options: SftpOptions;
  readonly #knownHosts: KnownHosts | undefined;
  #line: Line | undefined;
  readonly #opening = new SharedOpening((signal) => this.#open(signal));

  constructor(options: SftpOptions, knownHosts: KnownHosts | undefined) {
    this.#options = options;
    this.#knownHosts = knownHosts;
  }

  /** Does the work on a channel. @throws what the work or the sign-in threw */
  async use<T>(signal: AbortSignal, work: (channel: SftpChannel) => Promise<T>): Promise<T> {
    const loan = await this.lend(signal);
    try {
      return await orAbort(work(loan.channel), signal);
    } finally {
      loan.giveBack();
    }
  }

  /** A channel until it is given back, once. @throws what the sign-in threw */
  async lend(signal: AbortSignal): Promise<Loan> {
    throwIfAborted(signal);
    const line = await this.#takeLine(signal);
    try {
      const lane = await this.#lane(line, signal);
      lane.users += 1;
      return {
        channel: lane.channel,
        giveBack: () => {
          lane.users -= 1;
          this.#leave(line);
        },
      };
    } catch (error) {
      this.#leave(line);
      throw error;
    }
  }

  /** The connection, with one user more. */
  async #takeLine(signal: AbortSignal): Promise<Line> {
    const line = this.#line;
    if (line !== undefined && !line.connection.lost.aborted) {
      const idleMs = line.users === 0 ? performance.now() - line.idleSince : 0;
      this.#enter(line);
      if (idleMs < TRUSTED_MS) return line;
      try {
        if (await answers(line, signal)) return line;
      } catch (error) {
        this.#leave(line);
        throw error;
      }
      this.#drop(line);
      this.#leave(line);
    }
    const fresh = await this.#opening.wait(signal);
    this.#enter(fresh);
    return fresh;
  }

  async #open(signal: AbortSignal): Promise<Line> {
    const connection = await connectSsh(this.#options, signal, {
      timeoutMs: this.#options.timeout * 1000,
      keepalive: false,
      trustFirst: this.#options.trustFirst ? this.#knownHosts : undefined,
    });
    const line: Line = {
      connection,
      lanes: [],
      users: 0,
      opening: new Set(),
      limit: MOST_CHANNELS,
      idleSince: performance.now(),
      closes: undefined,
    };
    this.#line = line;
    // Should nobody wait for it any more.
    this.#rest(line);
    return line;
  }

  async #lane(line: Line, signal: AbortSignal): Promise<Lane> {
    const quietest = quietestOf(line);
    const mayOpen = line.lanes.length + line.opening.size < line.limit;
    if (quietest !== undefined && (quietest.users === 0 || !mayOpen)) return quietest;
    if (!mayOpen) return await orAbort(Promise.race(line.opening), signal);
    try {
      return await orAbort(this.#openLane(line), signal);
    } catch (error) {
      if (!isTooManySessions(error)) throw error;
      // The server allows fewer: they are shared, once they are open.
      line.limit = Math.max(1, line.lanes.length + line.opening.size);
      const shared = quietestOf(line);
      if (shared !== undefined) return shared;
      if (line.opening.size === 0) throw error;
      return await orAbort(Promise.race(line.opening), signal);
    }
  }

  #openLane(line: Line): Promise<Lane> {
    const opening = this.#openChannel(line)
      .then((channel) => {
        const lane = { channel, users: 0 };
        line.lanes.push(lane);
        return lane;
      })
      .finally(() => line.opening.delete(opening));
    line.opening.add(opening);
    return opening;
  }

  async #openChannel(line: Line): Promise<SftpChannel> {
    const timeoutMs = this.#options.timeout * 1000;
    const opening = SftpChannel.open(line.connection, this.#options.root, timeoutMs);
    return await orTimeout(opening, timeoutMs, () => {
      // One that opens after all is not waited for: its connection is replaced.
      this.#drop(line);
      const text = `${line.connection.name} opened no SFTP session within ${timeoutMs / 1000} s`;
      return new BackupError('stalled', text, { transient: true });
    });
  }

  #enter(line: Line): void {
    clearTimeout(line.closes);
    line.users += 1;
    line.connection.keepsProcess(true);
  }

  #leave(line: Line): void {
    line.users -= 1;
    // A channel that stalled says that the connection may be dead.
    if (line.lanes.some(({ channel }) => !channel.usable)) this.#drop(line);
    if (line.users > 0) return;
    if (this.#line === line) this.#rest(line);
    else void line.connection.close();
  }

  #rest(line: Line): void {
    line.idleSince = performance.now();
    line.connection.keepsProcess(false);
    line.closes = setTimeout(() => {
      this.#drop(line);
      void line.connection.close();
    }, IDLE_MS);
    line.closes.unref();
  }

  /** It is not lent any more; who uses it may go on, and the last one closes it. */
  #drop(line: Line): void {
    if (this.#line === line) this.#line = undefined;
  }
}

function quietestOf(line: Line): Lane | undefined {
  return line.lanes
    .filter(({ channel }) => channel.usable)
    .reduce<Lane | undefined>(
      (best, lane) => (best !== undefined && best.users <= lane.users ? best : lane),
      undefined,
    );
}

async function answers(line: Line, signal: AbortSignal): Promise<boolean> {
  const lane = quietestOf(line);
  if (lane === undefined) return false;
  let answered = false;
  const asking = lane.channel.realpath('.').then(() => {
    answered = true;
  });
  asking.catch(() => undefined);
  await orAbort(settled(asking, PING_MS), signal);
  return answered;
}
