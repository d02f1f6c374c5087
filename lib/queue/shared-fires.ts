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
 * at the most and has no call that prolongs it, so that its table is told: package.json names one version of it.
 */
const ENDLESS_SECONDS = 1_000_000_000;
const NEVER_EXPIRES = `UPDATE ${QUEUE_SCHEMA}.job SET expire_seconds = ${ENDLESS_SECONDS} WHERE name = $1 AND id = $2`;
/** The queues of a schedule: one of fires for each answer to the question what happens when they overlap, and by hand. */
type Lane = SchedulePolicy['overlap'] | 'hand';
/** A policy says how many may wait and be at work in a queue; what is fired by hand asks nobody. */
const POLICIES = { skip: 'exclusive', queue: 'stately', hand: 'standard' } as const;
/** How often a fire is begun again whose runner died. A person who has fired sees that it did. */
const RETRIES = { skip: 2, queue: 2, hand: 0 } as const;
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

/** By which the library tells one that was begun again from the one before. */
interface Attempt {
  readonly id: string;
  readonly retryCount: number;
}

/** What the library answers; its own type names nothing of it. */
const touched = z.object({ affected: z.number() });

/**
 * Fires of schedules that several processes share by a PostgreSQL database: each is begun by one of them, and again by
 * another one when that dies. A queue of pg-boss for each schedule, so that a process takes only what it can begin.
 */
export class SharedFires {
  readonly #boss: PgBoss;
  readonly #pool: OpenPool;
  readonly #db: SqlConnection;
  readonly #leaseSeconds: number;
  readonly #queues = new Map<string, Promise<void>>();

  private constructor(boss: PgBoss, pool: OpenPool, db: SqlConnection, leaseSeconds: number) {
    this.#boss = boss;
    this.#pool = pool;
    this.#db = db;
    this.#leaseSeconds = leaseSeconds;
  }

  /** @throws BackupError `unavailable` without the library or the server, errors of the server */
  static async open(place: PostgresPlace, { leaseMs, warn }: SharedFiresOptions): Promise<SharedFires> {
    const leaseSeconds = Math.max(SHORTEST_LEASE_SECONDS, Math.ceil(leaseMs / 1000));
    const { PgBoss } = await loadLibrary();
    const pool = await openPool({ ...place, silenceMs: SILENCE_MS });
    const db: SqlConnection = { executeSql: (text, values) => pool.pool.query(text, values) };
    const everySeconds = Math.max(1, Math.floor(leaseSeconds / 4));
    const boss = new PgBoss({
      db,
      schema: QUEUE_SCHEMA,
      schedule: false,
      superviseIntervalSeconds: everySeconds,
      monitorIntervalSeconds: everySeconds,
    });
    boss.on('error', (error) => warn(`The queue of schedules: ${toBackupError(error).message}`));
    try {
      await boss.start();
      return new SharedFires(boss, pool, db, leaseSeconds);
    } catch (error) {
      await pool.close();
      throw error;
    }
  }

  /** How often a lease is to be prolonged, in ms. */
  get beatMs(): number {
    return (this.#leaseSeconds * 1000) / 4;
  }

  /** Makes the queues of a schedule, unless they are there. */
  async prepare(schedule: string, overlap: SchedulePolicy['overlap']): Promise<void> {
    await Promise.all([this.#prepare(schedule, overlap), this.#prepare(schedule, 'hand')]);
  }

  #prepare(schedule: string, lane: Lane): Promise<void> {
    const name = queueOf(schedule, lane);
    const known = this.#queues.get(name);
    if (known !== undefined) return known;
    const made = this.#make(name, lane);
    this.#queues.set(name, made);
    made.catch(() => this.#queues.delete(name));
    return made;
  }

  /**
   * Hands a fire to whichever process takes it first, as a part of the transaction.
   * @returns false when an earlier fire of the schedule still waits, or with `skip` is still at work, also one by hand
   */
  async offer(
    schedule: string,
    overlap: SchedulePolicy['overlap'],
    { at, reason, missed }: Fire,
    connection: SqlConnection,
  ): Promise<boolean> {
    if (overlap === 'skip' && (await this.#isHeldByHand(schedule, connection))) return false;
    const name = queueOf(schedule, overlap);
    const id = await this.#boss.send(name, { at, reason, missed }, { db: connection });
    return id !== null;
  }

  /**
   * Takes a fire of a schedule that waits, also one from before a change of what happens when they overlap. None while
   * something is at work that a person has fired.
   */
  async take(schedule: string, overlap: SchedulePolicy['overlap']): Promise<TakenFire | undefined> {
    await this.prepare(schedule, overlap);
    if (await this.#isHeldByHand(schedule, this.#db)) return undefined;
    for (const each of overlap === 'skip' ? (['skip', 'queue'] as const) : (['queue', 'skip'] as const)) {
      await this.prepare(schedule, each);
      const taken = await this.#takeFrom(queueOf(schedule, each));
      if (taken !== undefined) return taken;
    }
    return undefined;
  }

  /** Tells all processes that something is at work which a person has fired, as long as it is kept. It is never lost. */
  async holdByHand(schedule: string): Promise<Held> {
    await this.#prepare(schedule, 'hand');
    const name = queueOf(schedule, 'hand');
    let sign = await this.#raiseSign(name);
    let over = false;
    const takeDown = async () => void (await this.#boss.deleteJob(name, sign));
    return {
      keep: async () => {
        const { affected } = touched.parse(await this.#boss.touch(name, sign));
        if (affected > 0 || over) return true;
        // This process was cut off for a while, and its work has gone on all the same.
        sign = await this.#raiseSign(name);
        if (over) await takeDown();
        return true;
      },
      done: async () => {
        over = true;
        await takeDown();
      },
    };
  }

  /** Something in the queue that is at work from the first moment. Signs are all alike. */
  async #raiseSign(name: string): Promise<Attempt> {
    return await this.#inTransaction(async (connection) => {
      await this.#boss.send(name, {}, { db: connection });
      const sign = await this.#fetch(name, connection);
      if (sign === undefined) throw new BackupError('internal', `What was put into ${name} is not there`);
      return attemptOf(sign);
    });
  }

  async #isHeldByHand(schedule: string, connection: SqlConnection): Promise<boolean> {
    const signs = await this.#boss.findJobs(queueOf(schedule, 'hand'), { db: connection });
    return signs.some(({ state }) => state === 'active');
  }

  async #takeFrom(name: string): Promise<TakenFire | undefined> {
    const job = await this.#inTransaction((connection) => this.#fetch(name, connection));
    if (job === undefined) return undefined;
    const attempt = attemptOf(job);
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

  async #make(name: string, lane: Lane): Promise<void> {
    const options = {
      heartbeatSeconds: this.#leaseSeconds,
      retryLimit: RETRIES[lane],
      retryDelay: 1,
      retentionSeconds: KEPT_SECONDS,
      deleteAfterSeconds: KEPT_SECONDS,
    };
    await this.#boss.createQueue(name, { ...options, policy: POLICIES[lane] });
    await this.#boss.updateQueue(name, options);
  }
}

/** Ids of nodes may hold what names of queues may not. A policy cannot be changed, so that it is part of the name. */
function queueOf(schedule: string, lane: Lane): string {
  return `schedule.${createHash('sha256').update(schedule).digest('hex').slice(0, 32)}.${lane}`;
}

function attemptOf({ id, retryCount }: Job<unknown>): Attempt {
  return { id, retryCount };
}

async function loadLibrary(): Promise<typeof import('pg-boss')> {
  try {
    return await import('pg-boss');
  } catch (cause) {
    throw new BackupError(
      'unavailable',
      'Schedules with a store in PostgreSQL need the package pg-boss: install it with npm install pg-boss@12.38.0, on Node.js 22.12 or newer',
      { cause },
    );
  }
}
