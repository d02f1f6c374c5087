import { setTimeout as wait } from 'node:timers/promises';
import type { PoolClient } from 'pg';
import { orAbort, orTimeout, settled } from '../abort.ts';
import { BackupError, throwIfAborted, toBackupError } from '../errors.ts';
import type { PostgresPlace } from '../store/place.ts';
import { type OpenPool, openPool } from '../store/postgres-pool.ts';

/** The first half of the keys of our advisory locks, so that they are nobody else's; the number of the place is added. */
const LOCK_CLASS = 0x64_62_00_00;
/** How often it is looked whether a server is free, in ms: at random, so that no process is always the second one. */
const LOOK_MS = 1_000;
const UNLOCK_MS = 2_000;
/** A server that has not answered after so long is gone, in ms: it takes a few milliseconds. */
const ANSWER_MS = 10_000;

interface Held {
  readonly server: string;
  readonly place: number;
}

/** Limits that several processes keep together. */
export interface SharedLimits {
  /**
   * Waits until each of the servers has a place free, and takes them all.
   * @param waits told once when it has to
   * @returns gives them back
   * @throws BackupError the signal's reason when it aborts first
   */
  take(servers: readonly string[], signal: AbortSignal, waits: () => void): Promise<() => void>;
}

/**
 * Lets at most so many runs at a time read from a database server, counting those of all processes that share a store in
 * PostgreSQL: a place is an advisory lock there, which the server frees when its process dies. While it cannot be reached,
 * nothing is counted: a backup that waits for a history is none.
 */
export class SharedServers implements SharedLimits {
  readonly #place: PostgresPlace;
  readonly #perServer: number;
  readonly #warn: (message: string) => void;
  readonly #answerMs: number;
  readonly #held: Held[] = [];
  #connection: Promise<Connection> | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #warned = false;

  /**
   * @param warn told once when limits cannot be kept, until they can be again
   * @param answerMs how long the server may take for an answer, in ms
   */
  constructor(
    place: PostgresPlace,
    perServer: number,
    warn: (message: string) => void,
    answerMs: number = ANSWER_MS,
  ) {
    this.#place = place;
    this.#perServer = perServer;
    this.#warn = warn;
    this.#answerMs = answerMs;
  }

  async take(servers: readonly string[], signal: AbortSignal, waits: () => void): Promise<() => void> {
    if (servers.length === 0) return () => undefined;
    for (let looks = 0; ; looks += 1) {
      throwIfAborted(signal);
      const taken = await this.#attempt(servers, signal);
      if (taken !== undefined) return () => void this.#inTurn(() => this.#giveBack(taken));
      if (looks === 0) waits();
      await wait(LOOK_MS * (0.5 + Math.random()), undefined, { signal }).catch(() => undefined);
    }
  }

  /** What comes when the signal has aborted is given back. @throws BackupError the signal's reason */
  async #attempt(servers: readonly string[], signal: AbortSignal): Promise<Held[] | undefined> {
    const attempt = this.#inTurn(() => this.#try(servers));
    try {
      return await orAbort(attempt, signal);
    } catch (error) {
      void attempt.then((taken = []) => this.#inTurn(() => this.#giveBack(taken)));
      throw error;
    }
  }

  /** Never rejects. */
  async close(): Promise<void> {
    await settled(this.#turn, UNLOCK_MS);
    const connection = await this.#connection?.catch(() => undefined);
    await connection?.close();
  }

  /** A session may take a lock of its own again, so that what this process holds is looked at one after the other. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  /** All or none. */
  async #try(servers: readonly string[]): Promise<Held[] | undefined> {
    const taken: Held[] = [];
    try {
      const connection = await this.#connect();
      for (const server of servers) {
        const held = await this.#lock(connection, server);
        if (held === undefined) {
          await this.#giveBack(taken);
          return undefined;
        }
        taken.push(held);
        this.#held.push(held);
      }
      this.#warned = false;
      return taken;
    } catch (error) {
      this.#forget(taken);
      if (!this.#warned) {
        this.#warn(
          `Other processes do not see which database servers this one reads from: ${toBackupError(error).message}`,
        );
      }
      this.#warned = true;
      return [];
    }
  }

  async #lock(connection: Connection, server: string): Promise<Held | undefined> {
    for (let place = 0; place < this.#perServer; place += 1) {
      if (this.#held.some((held) => held.server === server && held.place === place)) continue;
      if (await connection.ask('pg_try_advisory_lock', LOCK_CLASS + place, server)) return { server, place };
    }
    return undefined;
  }

  async #giveBack(taken: readonly Held[]): Promise<void> {
    for (const held of taken) {
      if (!this.#held.includes(held)) continue;
      this.#forget([held]);
      const connection = await this.#connection?.catch(() => undefined);
      // With the connection its locks are gone.
      await connection
        ?.ask('pg_advisory_unlock', LOCK_CLASS + held.place, held.server)
        .catch(() => undefined);
    }
  }

  #forget(taken: readonly Held[]): void {
    for (const held of taken) {
      const at = this.#held.indexOf(held);
      if (at >= 0) this.#held.splice(at, 1);
    }
  }

  #connect(): Promise<Connection> {
    this.#connection ??= Connection.open(this.#place, this.#answerMs, () => {
      this.#connection = undefined;
      this.#held.length = 0;
    });
    this.#connection.catch(() => (this.#connection = undefined));
    return this.#connection;
  }
}

/** The one session that holds the locks. Once it has failed it is given up, and its locks with it. */
class Connection {
  readonly #client: PoolClient;
  readonly #pool: OpenPool;
  readonly #answerMs: number;
  readonly #lost: () => void;
  #isLost = false;

  private constructor(client: PoolClient, pool: OpenPool, answerMs: number, lost: () => void) {
    this.#client = client;
    this.#pool = pool;
    this.#answerMs = answerMs;
    this.#lost = lost;
    client.on('error', () => this.#lose()).on('end', () => this.#lose());
  }

  /** @param lost called when it breaks */
  static async open(place: PostgresPlace, answerMs: number, lost: () => void): Promise<Connection> {
    const pool = await openPool({ ...place, silenceMs: 0, connections: 1 });
    try {
      return new Connection(await pool.pool.connect(), pool, answerMs, lost);
    } catch (error) {
      await pool.close();
      throw error;
    }
  }

  /** Calls a function of PostgreSQL for advisory locks. @returns what it says */
  async ask(
    call: 'pg_try_advisory_lock' | 'pg_advisory_unlock',
    key: number,
    server: string,
  ): Promise<boolean> {
    const text = `SELECT pg_catalog.${call}($1, pg_catalog.hashtext($2)) AS said`;
    const late = () => new BackupError('stalled', `it has not answered for ${this.#answerMs / 1000} s`);
    try {
      const asked = this.#client.query<{ said: boolean }>(text, [key, server]);
      const { rows } = await orTimeout(asked, this.#answerMs, late);
      return rows[0]?.said === true;
    } catch (error) {
      this.#lose();
      throw error;
    }
  }

  async close(): Promise<void> {
    try {
      this.#client.release(true);
    } catch {
      // It was given back already.
    }
    await this.#pool.close();
  }

  #lose(): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#lost();
    void this.close();
  }
}
