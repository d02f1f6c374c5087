import { orTimeout } from '../../lib/abort.ts';
import { BackupError, toBackupError } from '../../lib/errors.ts';
import { type FireOutcome, FireWorker } from '../../lib/queue/fire-worker.ts';
import { type FireLease, type Held, Lease } from '../../lib/queue/lease.ts';
import { isMissed } from '../../lib/queue/missed-fires.ts';
import type { RunResult } from '../../lib/runs/outcome.ts';
import type { Fire, HandOver, SchedulePolicy } from '../../lib/schedule/scheduler.ts';
import type { BackupRuntime } from '../runtime.ts';
import type { SharedQueue } from '../shared-queue.ts';

/** How soon it is tried again to open the queue, in ms. */
const REOPEN_MS = 30_000;
/** How long a person who fires waits until other processes know of it, in ms. */
const TELL_MS = 10_000;

export interface SharedScheduleParts {
  readonly id: string;
  readonly runtime: BackupRuntime;
  readonly queue: SharedQueue;
  readonly policy: SchedulePolicy;
  readonly start: (fire: Fire, attempt: number, lease: FireLease) => void;
  readonly dropped: (at: number, count: number) => void;
  readonly failed: (error: BackupError) => void;
  /** Other processes do not know of what was fired by hand. */
  readonly unseen: (error: BackupError) => void;
}

/** A schedule whose fires several processes share: what one notices, the first that is free begins. */
export class SharedSchedule {
  readonly #parts: SharedScheduleParts;
  #worker: FireWorker | undefined;
  /** When it began to take fires, in ms since 1970. */
  #since = 0;
  #stopped = false;

  constructor(parts: SharedScheduleParts) {
    this.#parts = parts;
  }

  async handOver(fire: Fire): Promise<HandOver> {
    const { id, runtime, queue, policy } = this.#parts;
    const fires = await queue.fires();
    await fires.prepare(id, policy.overlap);
    const store = await runtime.store();
    return await store.handOver(id, fire.at, (connection) =>
      fires.offer(id, policy.overlap, fire, connection),
    );
  }

  /** Begins to take fires. */
  begin(): void {
    this.#parts.queue
      .fires()
      .then(({ beatMs }) => this.#work(beatMs))
      // The scheduler cannot do without it either, and tells.
      .catch(() => this.#parts.runtime.clock.setTimer(() => this.#stopped || this.begin(), REOPEN_MS));
  }

  /** Begins what a person asks for, at once; other processes know of it then. */
  async byHand(start: () => void): Promise<void> {
    const { queue, unseen } = this.#parts;
    const told = this.#tellOthers();
    const late = () => new BackupError('stalled', `the server has not answered for ${TELL_MS / 1000} s`);
    await orTimeout(told, TELL_MS, late).catch((thrown: unknown) => unseen(toBackupError(thrown)));
    start();
    queue.waitFor(told.then(({ sign, beatMs }) => this.#keepWhileAtWork(sign, beatMs)));
  }

  async #tellOthers(): Promise<{ sign: Held; beatMs: number }> {
    const fires = await this.#parts.queue.fires();
    return { sign: await fires.holdByHand(this.#parts.id), beatMs: fires.beatMs };
  }

  async #keepWhileAtWork(sign: Held, beatMs: number): Promise<void> {
    const { id, runtime } = this.#parts;
    const lease = new Lease(sign, { beatMs, clock: runtime.clock });
    try {
      await runtime.launches.ended(id);
      await lease.settle(() => sign.done());
    } finally {
      lease.end();
    }
  }

  wake(): void {
    this.#worker?.wake();
  }

  /** What was taken goes on to its end. */
  stop(): void {
    this.#stopped = true;
    if (this.#worker !== undefined) this.#parts.queue.waitFor(this.#worker.stop());
  }

  #work(beatMs: number): void {
    const { id, runtime, queue, policy, failed } = this.#parts;
    if (this.#stopped) return;
    this.#since = runtime.clock.now();
    this.#worker = new FireWorker({
      beatMs,
      take: async () => (await queue.fires()).take(id, policy.overlap),
      mayTake: () => this.#mayTake(),
      run: (fire, attempt, lease) => this.#run(fire, attempt, lease),
      failed,
      clock: runtime.clock,
    });
    this.#worker.wake();
  }

  /** A process whose places are taken leaves the fire to others. */
  #mayTake(): boolean {
    const { id, runtime } = this.#parts;
    const { engine, launches, limits, ending } = runtime;
    return !ending.aborted && !launches.isActive(id) && engine.activeRuns().length < limits.concurrency;
  }

  async #run(fire: Fire, attempt: number, lease: FireLease): Promise<FireOutcome> {
    const { id, runtime, policy, start, dropped } = this.#parts;
    if (isMissed(fire, policy, { now: runtime.clock.now(), since: this.#since })) {
      dropped(fire.at, fire.missed + 1);
      return 'done';
    }
    const { engine, launches, ending } = runtime;
    const own = new Set<string>();
    let decided = 0;
    const opened = () => {
      for (const runId of launches.runsOf(id, lease)) own.add(runId);
    };
    const finished = ({ runId, state }: RunResult) => {
      opened();
      if (own.has(runId) && state !== 'cancelled') decided += 1;
    };
    const giveUp = () => {
      for (const runId of launches.runsOf(id, lease))
        engine.cancel(runId, 'another process has taken its schedule over');
    };
    engine.events.on('state', opened).on('finished', finished);
    lease.lost.addEventListener('abort', giveUp, { once: true });
    try {
      start(fire, attempt, lease);
      await launches.ended(id);
      // What was cancelled by a person is not begun again, what was cut off by the end of this process is.
      return ending.aborted && decided === 0 ? 'again' : 'done';
    } finally {
      lease.lost.removeEventListener('abort', giveUp);
      engine.events.off('state', opened).off('finished', finished);
    }
  }
}
