import { orAbort, settled } from '../../abort.ts';
import { pause } from '../../backoff.ts';
import { Turns } from '../../turns.ts';
import { FtpConnection } from './connection.ts';
import { saysTooMany } from './failures.ts';
import type { FtpOptions } from './options.ts';

/** A connection that nobody needs is closed after that time, in ms: earlier than servers do it. */
const IDLE_MS = 10_000;
/** One that was idle for longer is tried with NOOP first: it may be gone without a sign. */
const TRUSTED_MS = 1000;
const NOOP_MS = 5000;
/** For a server that counts the connections that it has just refused, in ms. */
const PAUSE_MS = 200;
const MOST_PAUSES = 25;

export interface Loan {
  readonly connection: FtpConnection;
  giveBack(): void;
}

interface IdleConnection {
  readonly connection: FtpConnection;
  readonly since: number;
  readonly closes: NodeJS.Timeout;
}

/**
 * The control connections of one storage: opened when needed, kept for a short while, never more than the
 * options say, and never keeping the process alive.
 */
export class FtpPool {
  readonly #options: FtpOptions;
  readonly #idle: IdleConnection[] = [];
  readonly #turns: Turns;

  constructor(options: FtpOptions) {
    this.#options = options;
    this.#turns = new Turns(options.connections);
  }

  /** Does the work on a connection that is its own meanwhile. @throws what the work or the login threw */
  async use<T>(signal: AbortSignal, work: (connection: FtpConnection) => Promise<T>): Promise<T> {
    const loan = await this.lend(signal);
    try {
      return await work(loan.connection);
    } finally {
      loan.giveBack();
    }
  }

  /** A connection until it is given back, once. @throws what the login threw */
  async lend(signal: AbortSignal): Promise<Loan> {
    for (let pauses = 0; ; ) {
      const leave = await this.#turns.take(signal);
      try {
        const connection =
          (await this.#takeIdle(signal)) ?? (await FtpConnection.open(this.#options, signal));
        return {
          connection,
          giveBack: () => {
            if (connection.usable) this.#keep(connection);
            leave();
          },
        };
      } catch (error) {
        const others = this.#turns.taken - 1;
        const wasLowered = this.#turns.most < this.#options.connections;
        const isTooMany = saysTooMany(error);
        // The server allows fewer than the options: wait for one of ours.
        if (isTooMany && others > 0) this.#turns.lower(others);
        leave();
        if (isTooMany && others > 0) continue;
        if (!isTooMany || !wasLowered || pauses === MOST_PAUSES) throw error;
        // Those of ours that it refused just now may still count there.
        pauses += 1;
        await pause(PAUSE_MS, signal);
      }
    }
  }

  async #takeIdle(signal: AbortSignal): Promise<FtpConnection | undefined> {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      clearTimeout(idle.closes);
      const { connection } = idle;
      if (!connection.usable) continue;
      connection.client.ftp.socket.ref();
      if (performance.now() - idle.since < TRUSTED_MS || (await answers(connection, signal)))
        return connection;
      connection.close();
    }
    return undefined;
  }

  #keep(connection: FtpConnection): void {
    const closes = setTimeout(() => {
      const at = this.#idle.findIndex((idle) => idle.connection === connection);
      if (at >= 0) this.#idle.splice(at, 1);
      connection.close();
    }, IDLE_MS);
    closes.unref();
    connection.client.ftp.socket.unref();
    this.#idle.push({ connection, since: performance.now(), closes });
  }
}

async function answers(connection: FtpConnection, signal: AbortSignal): Promise<boolean> {
  let answered = false;
  const asking = connection.command('NOOP', signal).then(() => {
    answered = true;
  });
  asking.catch(() => undefined);
  await orAbort(settled(asking, NOOP_MS), signal);
  return answered;
}
