import { orAbort } from '../../abort.ts';
import { throwIfAborted } from '../../errors.ts';
import { Turns } from '../../turns.ts';
import type { SmbOptions } from './options.ts';
import { SmbSession } from './session.ts';

/** A session that nobody needs is closed after that time, in ms. */
const IDLE_MS = 10_000;
/** One that was idle for longer is tried with an echo first: its server may be gone without a sign. */
const TRUSTED_MS = 1000;
const ECHO_MS = 5000;

export interface Loan {
  readonly session: SmbSession;
  giveBack(): void;
}

interface IdleSession {
  readonly session: SmbSession;
  readonly since: number;
  readonly closes: NodeJS.Timeout;
}

/**
 * The sessions of one storage: opened when needed, kept for a short while, never more than the options say, and
 * never keeping the process alive.
 */
export class SmbPool {
  readonly #options: SmbOptions;
  readonly #idle: IdleSession[] = [];
  readonly #turns: Turns;

  constructor(options: SmbOptions) {
    this.#options = options;
    this.#turns = new Turns(options.connections);
  }

  /** Does the work in a session that is its own meanwhile. @throws what the work or the login threw */
  async use<T>(signal: AbortSignal, work: (session: SmbSession) => Promise<T>): Promise<T> {
    const loan = await this.lend(signal);
    try {
      return await work(loan.session);
    } finally {
      loan.giveBack();
    }
  }

  /** A session until it is given back, once. @throws what the login threw */
  async lend(signal: AbortSignal): Promise<Loan> {
    const leave = await this.#turns.take(signal);
    try {
      const session = (await this.#takeIdle(signal)) ?? (await SmbSession.open(this.#options, signal));
      return {
        session,
        giveBack: () => {
          if (session.usable) this.#keep(session);
          leave();
        },
      };
    } catch (error) {
      leave();
      throw error;
    }
  }

  async #takeIdle(signal: AbortSignal): Promise<SmbSession | undefined> {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      clearTimeout(idle.closes);
      const { session } = idle;
      if (!session.usable) continue;
      session.keepAlive(true);
      if (performance.now() - idle.since < TRUSTED_MS || (await answers(session, signal))) return session;
      session.close();
      throwIfAborted(signal);
    }
    return undefined;
  }

  #keep(session: SmbSession): void {
    const closes = setTimeout(() => {
      const at = this.#idle.findIndex((idle) => idle.session === session);
      if (at >= 0) this.#idle.splice(at, 1);
      session.close();
    }, IDLE_MS);
    closes.unref();
    session.keepAlive(false);
    this.#idle.push({ session, since: performance.now(), closes });
  }
}

async function answers(session: SmbSession, signal: AbortSignal): Promise<boolean> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(ECHO_MS)]);
  const asking = session.order('echo 1 x', limit).then(
    () => true,
    () => false,
  );
  return await orAbort(asking, signal);
}
