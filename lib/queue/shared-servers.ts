import { setTimeout as wait } from 'node:timers/promises';
import type { PoolClient } from 'pg';
import { settled } from '../abort.ts';
import { throwIfAborted, toBackupError } from '../errors.ts';
import type { PostgresPlace } from '../store/place.ts';
import { type OpenPool, openPool } from '../store/postgres-pool.ts';

/** The first half of the keys of our advisory locks, so that they are nobody else's; the number of the place is added. */
const LOCK_CLASS = 0x64_62_00_00;
/** How often it is looked whether a server is free, in ms: at random, so that no process is always the second one. */
const LOOK_MS = 1_000;
const UNLOCK_MS = 2_000;

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
  readonly #held: Held[] = [];
  #connection: Promise<Connection> | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #warned = false;

  /** @param warn told once when limits cannot be kept, until they can be again */
  constructor(place: PostgresPlace, perServer: number, warn: (message: string) => void) {
    this.#place = place;
    this.#perServer = perServer;
    this.#warn = warn;
  }

  async take(servers: readonly string[], signal: AbortSignal, waits: () => void): Promise<() => void> {
    if (servers.length === 0) return () => undefined;
    for (let looks = 0; ; looks += 1) {
      throwIfAborted(signal);
      const taken = await this.#inTurn(() => this.#try(servers));
      if (taken !== undefined) return () => void this.#inTurn(() => this.#giveBack(taken));
      if (looks === 0) waits();
      await wait(LOOK_MS * (0.5 + Math.random()), undefined, { signal }).catch(() => undefined);
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
      const { client } = await this.#connect();
      for (const server of servers) {
        const held = await this.#lock(client, server);
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

  async #lock(client: PoolClient, server: string): Promise<Held | undefined> {
    for (let place = 0; place < this.#perServer; place += 1) {
      if (this.#held.some((held) => held.server === server && held.place === place)) continue;
      const { rows } = await client.query<{ locked: boolean }>(
        'SELECT pg_catalog.pg_try_advisory_lock($1, pg_catalog.hashtext($2)) AS locked',
        [LOCK_CLASS + place, server],
      );
      if (rows[0]?.locked === true) return { server, place };
    }
    return undefined;
  }

  async #giveBack(taken: readonly Held[]): Promise<void> {
    for (const held of taken) {
      if (!this.#held.includes(held)) continue;
      this.#forget([held]);
      const connection = await this.#connection?.catch(() => undefined);
      await connection?.client
        .query('SELECT pg_catalog.pg_advisory_unlock($1, pg_catalog.hashtext($2))', [
          LOCK_CLASS + held.place,
          held.server,
        ])
        // With the connection its locks are gone.
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
    this.#connection ??= Connection.open(this.#place, () => {
      this.#connection = undefined;
      this.#held.length = 0;
    });
    this.#connection.catch(() => (this.#connection = undefined));
    return this.#connection;
  }
}

/** The one session that holds the locks. */
class Connection {
  readonly client: PoolClient;
  readonly #pool: OpenPool;

  private constructor(client: PoolClient, pool: OpenPool) {
    this.client = client;
    this.#pool = pool;
  }

  /** @param lost called when it breaks */
  static async open(place: PostgresPlace, lost: () => void): Promise<Connection> {
    const pool = await openPool({ ...place, silenceMs: 0, connections: 1 });
    try {
      const client = await pool.pool.connect();
      const connection = new Connection(client, pool);
      let isLost = false;
      const lose = () => {
        if (isLost) return;
        isLost = true;
        lost();
        void connection.close();
      };
      client.on('error', lose).on('end', lose);
      return connection;
    } catch (error) {
      await pool.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    try {
      this.client.release(true);
    } catch {
      // It was given back already.
    }
    await this.#pool.close();
  }
}
