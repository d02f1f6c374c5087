import type { Clock, ClockTimer } from '../clock.ts';
import { type BackupError, toBackupError } from '../errors.ts';
import type { DueFires } from './due-fires.ts';

/** Longest sleep, in ms: a clock that was set, and a machine that was suspended, are noticed after it. */
const DEFAULT_SLEEP_MS = 60_000;
/** A fire that comes later than this has been missed, in ms. */
const LATE_MS = 5 * 60_000;
/** What is recorded for a time further ahead than this was recorded by a clock that went wrong, in ms. */
const AHEAD_MS = 24 * 3_600_000;
/** How long after another process has taken a fire it is looked again, in ms. */
const AFTER_OTHERS_MS = 1000;
/** Sleeps until that is believed: a machine may not have asked for the time yet. */
const SLEEPS_BEFORE_REWIND = 15;

export type FireReason = 'schedule' | 'catch-up' | 'manual';

export interface Fire {
  /** What it was planned for, in ms since 1970. */
  readonly at: number;
  readonly reason: FireReason;
  /** Fires before it that were missed and that it stands for; 1000 for that many or more. */
  readonly missed: number;
}

/** What is known of a schedule across restarts. */
export interface ScheduleRecord {
  /** Every fire up to this instant is dealt with, in ms since 1970. */
  readonly handled: number;
  readonly paused: boolean;
}

/**
 * What became of a fire that was to be handed over. `others`: another process has dealt with it, or has paused the
 * schedule. `busy`: an earlier fire is in the way.
 */
export type HandOver = 'handed' | 'busy' | 'others';

/** Where that is kept. Each promise resolves when the record is durable. */
export interface ScheduleMemory {
  /** Reads the record. A schedule that is new, or has another timetable now, begins at `now`. */
  open(timetable: string, now: number): Promise<ScheduleRecord>;
  /** Records that every fire up to `at` is dealt with. False when another process has done so, or has paused it. */
  claim(at: number): Promise<boolean>;
  /**
   * Where several processes share the work: records that every fire up to this one is dealt with, and hands it to
   * whichever of them takes it first. The host starts it there.
   */
  readonly handOver?: ((fire: Fire) => Promise<HandOver>) | undefined;
  /** Begins again at `now`, whatever was recorded. */
  restart(now: number): Promise<void>;
  pause(): Promise<void>;
  /** Ends a pause: what was not fired meanwhile is not missed, and nothing comes again. */
  resume(now: number): Promise<void>;
}

/** What a schedule shows. */
export type ScheduleView =
  | { readonly state: 'waiting' | 'running'; readonly next: number }
  /** The last fire was skipped, since the flow of an earlier one still runs. */
  | { readonly state: 'skipped'; readonly at: number; readonly next: number }
  /** A fire that waits until the flow of an earlier one has ended. */
  | { readonly state: 'queued'; readonly at: number }
  | { readonly state: 'paused' }
  | { readonly state: 'failed'; readonly error: BackupError };

/** What a schedule acts on. */
export interface ScheduleHost {
  /** Starts what hangs behind the schedule. */
  start(fire: Fire): void;
  /** A fire was handed over: it waits for whichever process takes it. */
  handedOver?(): void;
  /** True while what it has started still goes on. */
  isBusy(): boolean;
  /** Called when what is to be seen of it has changed. */
  show(view: ScheduleView): void;
  skipped(at: number): void;
  /** Missed fires are not made up for: they are too old. `count` as `missed` of a fire, the last one included. */
  dropped(at: number, count: number): void;
  /** The clock has gone back by more than a day: the schedule begins again. */
  clockWentBack(recorded: number): void;
  /** Nothing can be recorded, so that nothing is fired; told once until it works again. */
  failed(error: BackupError): void;
}

export interface SchedulePolicy {
  /** How old a missed fire may be to be made up for, in ms; 0: not at all. */
  readonly catchUpMs: number;
  readonly overlap: 'skip' | 'queue';
}

export interface SchedulerParts {
  readonly clock: Clock;
  readonly memory: ScheduleMemory;
  readonly host: ScheduleHost;
  /** Longest time until it looks at the clock again, in ms; a minute without it. */
  readonly longestSleepMs?: number;
}

/**
 * Fires by a timetable: each planned time once, across restarts and all processes that share its memory. A fire is
 * recorded before it is started, so that a process that dies in between loses one rather than firing twice.
 */
export class Scheduler {
  readonly #fires: DueFires;
  readonly #policy: SchedulePolicy;
  readonly #clock: Clock;
  readonly #memory: ScheduleMemory;
  readonly #host: ScheduleHost;
  readonly #longestSleepMs: number;
  #record: ScheduleRecord | undefined;
  /** The last fire that was noticed in time, whatever has held it up since. */
  #noticed: number | undefined;
  /** The last fire, when it was skipped. */
  #skipped: number | undefined;
  #sleepsAhead = 0;
  #failure: string | undefined;
  #timer: ClockTimer | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #stopped = false;
  /** Where schedules do not fire by themselves, nobody wakes it. */
  #begun = false;

  constructor(fires: DueFires, policy: SchedulePolicy, parts: SchedulerParts) {
    this.#fires = fires;
    this.#policy = policy;
    this.#clock = parts.clock;
    this.#memory = parts.memory;
    this.#host = parts.host;
    this.#longestSleepMs = parts.longestSleepMs ?? DEFAULT_SLEEP_MS;
  }

  /** Looks what is to be done now, and from then on whenever something is. */
  wake(): void {
    if (this.#stopped) return;
    this.#begun = true;
    this.#timer?.cancel();
    this.#inTurn(() => this.#lookAround());
  }

  /** Fires nothing any more. What was recorded as fired at this very moment still starts. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** @throws BackupError when that cannot be recorded */
  pause(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#open();
      await this.#memory.pause();
      this.#record = undefined;
      if (this.#begun) this.wake();
    });
  }

  /** @throws BackupError when that cannot be recorded */
  resume(): Promise<void> {
    return this.#inTurn(async () => {
      const { paused } = await this.#open();
      if (paused) await this.#memory.resume(this.#clock.now());
      this.#record = undefined;
      if (this.#begun) this.wake();
    });
  }

  /** One after the other: what is known of the record must not change while something is decided by it. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #lookAround(): Promise<void> {
    if (this.#stopped) return;
    let sleepMs = this.#longestSleepMs;
    try {
      sleepMs = await this.#act();
      this.#failure = undefined;
    } catch (thrown) {
      this.#fail(toBackupError(thrown));
    }
    if (this.#stopped) return;
    this.#timer?.cancel();
    this.#timer = this.#clock.setTimer(
      () => this.wake(),
      Math.min(Math.max(0, sleepMs), this.#longestSleepMs),
    );
  }

  #fail(error: BackupError): void {
    this.#record = undefined;
    this.#host.show({ state: 'failed', error });
    if (this.#failure === error.message) return;
    this.#failure = error.message;
    this.#host.failed(error);
  }

  /** @returns how long there is nothing to do, in ms */
  async #act(): Promise<number> {
    const { handled, paused } = await this.#open();
    if (paused) {
      // Another process may end the pause.
      this.#record = undefined;
      this.#host.show({ state: 'paused' });
      return this.#longestSleepMs;
    }
    const now = this.#clock.now();
    if (await this.#isAhead(handled, now)) return this.#longestSleepMs;
    const at = this.#fires.lastDue(handled, now);
    if (at !== undefined) return this.#deal(at, handled, now);
    const next = this.#fires.next(handled);
    this.#showNext(next);
    return this.#fires.dueAt(next) - now;
  }

  async #open(): Promise<ScheduleRecord> {
    this.#record ??= await this.#memory.open(this.#fires.timetable.identity, this.#clock.now());
    return this.#record;
  }

  /** A fire is due. @returns how long there is nothing to do, in ms */
  async #deal(at: number, handled: number, now: number): Promise<number> {
    if (now - this.#fires.dueAt(at) <= LATE_MS) this.#noticed = at;
    const inTime = this.#noticed === at;
    const tooOld = !inTime && now - at > this.#policy.catchUpMs;
    if (!tooOld && this.#memory.handOver !== undefined) {
      const missed = this.#fires.missedBefore(handled, at);
      const fire: Fire = { at, reason: inTime ? 'schedule' : 'catch-up', missed };
      return this.#settleHandOver(at, await this.#memory.handOver(fire));
    }
    const busy = !tooOld && this.#host.isBusy();
    if (busy && this.#policy.overlap === 'queue') {
      this.#host.show({ state: 'queued', at });
      return this.#longestSleepMs;
    }
    const claimed = await this.#memory.claim(at);
    this.#record = claimed ? { handled: at, paused: false } : undefined;
    if (claimed) {
      const missed = this.#fires.missedBefore(handled, at);
      this.#skipped = busy ? at : undefined;
      if (tooOld) this.#host.dropped(at, missed + 1);
      else if (busy) this.#host.skipped(at);
      else this.#host.start({ at, reason: inTime ? 'schedule' : 'catch-up', missed });
    }
    return claimed ? 0 : AFTER_OTHERS_MS;
  }

  /** @returns how long there is nothing to do, in ms */
  #settleHandOver(at: number, outcome: HandOver): number {
    this.#record = outcome === 'others' ? undefined : { handled: at, paused: false };
    if (outcome === 'others') return AFTER_OTHERS_MS;
    this.#skipped = outcome === 'busy' ? at : undefined;
    if (outcome === 'busy') this.#host.skipped(at);
    else this.#host.handedOver?.();
    return 0;
  }

  #showNext(next: number): void {
    const busy = this.#host.isBusy();
    if (!busy) this.#skipped = undefined;
    if (this.#skipped !== undefined) this.#host.show({ state: 'skipped', at: this.#skipped, next });
    else this.#host.show({ state: busy ? 'running' : 'waiting', next });
  }

  /** True while it is not sure whether the clock or the record is wrong. */
  async #isAhead(handled: number, now: number): Promise<boolean> {
    if (handled <= now + AHEAD_MS) {
      this.#sleepsAhead = 0;
      return false;
    }
    this.#sleepsAhead += 1;
    this.#showNext(this.#fires.next(handled));
    if (this.#sleepsAhead > SLEEPS_BEFORE_REWIND) {
      await this.#memory.restart(now);
      this.#record = undefined;
      this.#sleepsAhead = 0;
      this.#host.clockWentBack(handled);
    }
    return true;
  }
}
