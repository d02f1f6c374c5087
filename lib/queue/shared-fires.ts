import { createHash } from 'node:crypto';
import type { Job, PgBoss } from 'pg-boss';
import { z } from 'zod';
import { orTimeout } from '../abort.ts';
import { BackupError, toBackupError } from '../errors.ts';
import type { Fire, SchedulePolicy } from '../schedule/scheduler.ts';
import type { PostgresPlace } from '../store/place.ts';
import { type OpenPool, openPool } from '../store/postgres-pool.ts';
import type { SqlConnection } from '../store/sql-connection.ts';
import type { Held } from './lease.ts';

/** The library's tables are in this schema of the store's database. */
const QUEUE_SCHEMA = 'dbackup_queue';
/**
 * How long a fire may be at work, in seconds: for ever, as long as its process says that it is. The library allows a day
 * at the most and has no call that prolongs it, so that its table is told.
 */
const ENDLESS_SECONDS = 1_000_000_000;
const NEVER_EXPIRES = `UPDATE ${QUEUE_SCHEMA}.job SET expire_seconds = ${ENDLESS_SECONDS} WHERE name = $1 AND id = $2`;
/** How often a fire is begun again whose runner died. */
const RETRIES = 2;
/** How long a fire waits for a runner that has its schedule, in seconds. */
const KEPT_SECONDS = 7 * 24 * 3600;
/** The library takes no shorter lease, in seconds. */
const SHORTEST_LEASE_SECONDS = 10;
/** Cleaning of its tables and indexes may take long, in ms. */
const SILENCE_MS = 10 * 60_000;
const CLOSE_MS = 5_000;

/** A fire that this process has taken: it is nobody else's while its lease lasts. */
export interface TakenFire extends Held {
  readonly fire: Fire;
  /** From 1; more when the process that had taken it before died. */
  readonly attempt: number;
  /** Another process shall begin it again. */
  giveBack(reason: string): Promise<void>;
}

export interface SharedFiresOptions {
  /** How long a process that has taken a fire may be silent before another one takes it, in ms. */
  readonly leaseMs: number;
  /** Told what fails beside. */
  readonly warn: (message: string) => void;
}

const ticket = z.object({
  at: z.number(),
  reason: z.enum(['schedule', 'catch-up', 'manual']),
  missed: z.number(),
});

/** What the library answers; its own type names nothing of it. */
const touched = z.object({ affected: z.number() });

/**
 * Fires of schedules that several processes share by a PostgreSQL database: each is begun by one of them, and again by
 * another one when that dies. A queue of pg-boss for each schedule, so that a process takes only what it can begin.
 */
export class SharedFires {
  readonly #boss: PgBoss;
  readonly #pool: OpenPool;
  readonly #leaseSeconds: number;
  readonly #queues = new Map<string, Promise<void>>();

  private constructor(boss: PgBoss, pool: OpenPool, leaseSeconds: number) {
    this.#boss = boss;
    this.#pool = pool;
    this.#leaseSeconds = leaseSeconds;
  }

  /** @throws BackupError `unavailable` without the library or the server, errors of the server */
  static async open(place: PostgresPlace, { leaseMs, warn }: SharedFiresOptions): Promise<SharedFires> {
    const leaseSeconds = Math.max(SHORTEST_LEASE_SECONDS, Math.ceil(leaseMs / 1000));
    const { PgBoss } = await loadLibrary();
    const pool = await openPool({ ...place, silenceMs: SILENCE_MS });
    const everySeconds = Math.max(1, Math.floor(leaseSeconds / 4));
    const boss = new PgBoss({
      db: { executeSql: (text, values) => pool.pool.query(text, values) },
      schema: QUEUE_SCHEMA,
      schedule: false,
      superviseIntervalSeconds: everySeconds,
      monitorIntervalSeconds: everySeconds,
    });
    boss.on('error', (error) => warn(`The queue of schedules: ${toBackupError(error).message}`));
    try {
      await boss.start();
      return new SharedFires(boss, pool, leaseSeconds);
    } catch (error) {
      await pool.close();
      throw error;
    }
  }

  /** How often a lease is to be prolonged, in ms. */
  get beatMs(): number {
    return (this.#leaseSeconds * 1000) / 4;
  }

  /** Makes the queue of a schedule, unless it is there. */
  prepare(schedule: string, overlap: SchedulePolicy['overlap']): Promise<void> {
    const name = queueOf(schedule, overlap);
    const known = this.#queues.get(name);
    if (known !== undefined) return known;
    const made = this.#make(name, overlap);
    this.#queues.set(name, made);
    made.catch(() => this.#queues.delete(name));
    return made;
  }

  /**
   * Hands a fire to whichever process takes it first, as a part of the transaction.
   * @returns false when an earlier fire of the schedule still waits, or with `skip` is still at work
   */
  async offer(
    schedule: string,
    overlap: SchedulePolicy['overlap'],
    { at, reason, missed }: Fire,
    connection: SqlConnection,
  ): Promise<boolean> {
    const name = queueOf(schedule, overlap);
    const id = await this.#boss.send(name, { at, reason, missed }, { db: connection });
    return id !== null;
  }

  /** Takes a fire of a schedule that waits, also one from before a change of what happens when they overlap. */
  async take(schedule: string, overlap: SchedulePolicy['overlap']): Promise<TakenFire | undefined> {
    for (const each of overlap === 'skip' ? (['skip', 'queue'] as const) : (['queue', 'skip'] as const)) {
      await this.prepare(schedule, each);
      const taken = await this.#takeFrom(queueOf(schedule, each));
      if (taken !== undefined) return taken;
    }
    return undefined;
  }

  async #takeFrom(name: string): Promise<TakenFire | undefined> {
    const job = await this.#inTransaction((connection) => this.#fetch(name, connection));
    if (job === undefined) return undefined;
    const attempt = { id: job.id, retryCount: job.retryCount };
    const parsed = ticket.safeParse(job.data);
    if (!parsed.success) {
      await this.#boss.complete(name, attempt);
      return undefined;
    }
    return {
      fire: parsed.data,
      attempt: job.retryCount + 1,
      keep: async () => touched.parse(await this.#boss.touch(name, attempt)).affected > 0,
      done: async () => void (await this.#boss.complete(name, attempt)),
      giveBack: async (reason) => void (await this.#boss.fail(name, attempt, { reason })),
    };
  }

  async #fetch(name: string, connection: SqlConnection): Promise<Job<unknown> | undefined> {
    const [job] = await this.#boss.fetch(name, { db: connection });
    if (job !== undefined) await connection.executeSql(NEVER_EXPIRES, [name, job.id]);
    return job;
  }

  async #inTransaction<T>(work: (connection: SqlConnection) => Promise<T>): Promise<T> {
    const client = await this.#pool.pool.connect();
    let failed = true;
    try {
      await client.query('BEGIN');
      const result = await work({ executeSql: (text, values) => client.query(text, values) });
      await client.query('COMMIT');
      failed = false;
      return result;
    } finally {
      // A connection that goes takes what it has begun with it.
      client.release(failed);
    }
  }

  /** Never rejects. What is taken stays so until its lease ends. */
  async close(): Promise<void> {
    const stopping = this.#boss.stop({ graceful: false });
    const late = () => new BackupError('stalled', 'The queue of schedules did not stop in time');
    await orTimeout(stopping, CLOSE_MS, late).catch(() => undefined);
    await this.#pool.close();
  }

  async #make(name: string, overlap: SchedulePolicy['overlap']): Promise<void> {
    const options = {
      heartbeatSeconds: this.#leaseSeconds,
      retryLimit: RETRIES,
      retryDelay: 1,
      retentionSeconds: KEPT_SECONDS,
      deleteAfterSeconds: KEPT_SECONDS,
    };
    await this.#boss.createQueue(name, { ...options, policy: overlap === 'skip' ? 'exclusive' : 'stately' });
    await this.#boss.updateQueue(name, options);
  }
}

/** Ids of nodes may hold what names of queues may not. A policy cannot be changed, so that it is part of the name. */
function queueOf(schedule: string, overlap: SchedulePolicy['overlap']): string {
  return `schedule.${createHash('sha256').update(schedule).digest('hex').slice(0, 32)}.${overlap}`;
}

async function loadLibrary(): Promise<typeof import('pg-boss')> {
  try {
    return await import('pg-boss');
  } catch (cause) {
    throw new BackupError(
      'unavailable',
      'Schedules with a store in PostgreSQL need the package pg-boss: install it with npm install pg-boss, on Node.js 22.12 or newer',
      { cause },
    );
  }
}
