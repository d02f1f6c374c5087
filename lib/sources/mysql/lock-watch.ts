import { BackupError } from '../../errors.ts';
import type { MysqlRow, MysqlSession } from './connect.ts';

/** How often the server is asked, in ms: often enough to be just, seldom enough to cost nothing. */
const OFTEN_MS = 200;
const SELDOM_MS = 5_000;

/**
 * Ends a dump that waits for a lock for too long. MariaDB's tool has no option for that, and the server waits
 * a day (`lock_wait_timeout`). So a second session looks at the list of connections: one of the same user, in
 * the same database, that came after the second session itself and has been waiting for that long, while
 * the tool has given no byte to a reader that wants some.
 */
export class LockWatch {
  readonly #session: MysqlSession;
  readonly #user: string;
  readonly #database: string;
  readonly #limitMs: number;
  readonly #stop: (reason: BackupError) => void;
  readonly #timer: NodeJS.Timeout;
  #waitingSince: number | undefined;
  #asks = false;

  /**
   * @param session connected before the tool, and by the same user
   * @param limit in seconds
   * @param stop ends the dump
   */
  constructor(
    session: MysqlSession,
    { user, database }: { readonly user: string; readonly database: string },
    limit: number,
    stop: (reason: BackupError) => void,
  ) {
    this.#session = session;
    this.#user = user;
    this.#database = database;
    this.#limitMs = limit * 1000;
    this.#stop = stop;
    const pause = Math.min(SELDOM_MS, Math.max(OFTEN_MS, this.#limitMs / 5));
    this.#timer = setInterval(() => void this.#look(), pause);
  }

  /** Somebody waits for bytes of the tool. */
  begins(): void {
    this.#waitingSince = Date.now();
  }

  /** They have come. */
  ends(): void {
    this.#waitingSince = undefined;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const since = this.#waitingSince;
    if (this.#asks || since === undefined || Date.now() - since < this.#limitMs) return;
    this.#asks = true;
    try {
      const waiting = (await this.#session.query('SHOW PROCESSLIST')).find((row) => this.#isStuck(row));
      if (waiting !== undefined && since === this.#waitingSince) this.#give(waiting);
    } catch {
      // A session that is lost, or cannot tell, does not harm the dump.
    } finally {
      this.#asks = false;
    }
  }

  /** Columns: id, user, host, database, command, seconds, state, statement. */
  #isStuck([id, user, , database, , seconds, state]: MysqlRow): boolean {
    return (
      Number(id) > this.#session.connectionId &&
      user === this.#user &&
      database === this.#database &&
      Number(seconds) * 1000 >= this.#limitMs &&
      /^Waiting for .*(?:lock|flush)/i.test(state ?? '')
    );
  }

  #give([, , , , , seconds, state, statement]: MysqlRow): void {
    this.close();
    const what = (statement ?? '').replace(/\s+/g, ' ').slice(0, 100);
    this.#stop(lockTimeout(this.#database, `${state} for ${seconds} s (${what})`));
  }
}

function lockTimeout(database: string, what: string): BackupError {
  return new BackupError(
    'unavailable',
    `The dump of ${database} was ended: ${what}; find out who holds the lock, or raise the lock timeout`,
    { transient: true },
  );
}
