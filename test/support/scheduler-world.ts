import { DueFires } from '../../lib/schedule/due-fires.ts';
import {
  type Fire,
  type ScheduleHost,
  type ScheduleMemory,
  type SchedulePolicy,
  type ScheduleRecord,
  Scheduler,
  type ScheduleView,
} from '../../lib/schedule/scheduler.ts';
import { Timetable } from '../../lib/schedule/timetable.ts';
import { FakeClock } from './fake-clock.ts';

/** Keeps records as the store does, in memory; shared by several schedulers it is several processes' store. */
export class ListMemory implements ScheduleMemory {
  record: (ScheduleRecord & { timetable: string }) | undefined;
  /** When set, nothing can be recorded. */
  broken: Error | undefined;
  /** Calls so far. */
  claims = 0;

  async open(timetable: string, now: number): Promise<ScheduleRecord> {
    this.#check();
    if (this.record?.timetable !== timetable) {
      this.record = { timetable, handled: now, paused: this.record?.paused ?? false };
    }
    return this.record;
  }

  async claim(at: number): Promise<boolean> {
    this.#check();
    this.claims += 1;
    if (this.record === undefined || this.record.paused || this.record.handled >= at) return false;
    this.record = { ...this.record, handled: at };
    return true;
  }

  async restart(now: number): Promise<void> {
    this.#change({ handled: now });
  }

  async pause(): Promise<void> {
    this.#change({ paused: true });
  }

  async resume(now: number): Promise<void> {
    this.#change({ handled: Math.max(now, this.record?.handled ?? 0), paused: false });
  }

  #change(change: Partial<ScheduleRecord>): void {
    this.#check();
    if (this.record !== undefined) this.record = { ...this.record, ...change };
  }

  #check(): void {
    if (this.broken !== undefined) throw this.broken;
  }
}

export interface WorldOptions {
  readonly cron: string;
  readonly zone?: string;
  readonly start: string | number;
  readonly jitterMs?: number;
  readonly policy?: Partial<SchedulePolicy>;
  readonly longestSleepMs?: number;
}

/** A schedule in a world that a test runs: its clock, its memory, and what came of it. */
export class SchedulerWorld {
  readonly clock: FakeClock;
  readonly memory = new ListMemory();
  readonly fires: Fire[] = [];
  readonly events: string[] = [];
  view: ScheduleView | undefined;
  busy = false;
  scheduler: Scheduler;
  readonly #options: WorldOptions;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.clock = new FakeClock(options.start);
    this.scheduler = this.create();
    this.scheduler.wake();
  }

  /** One more process, with the same memory. */
  create(): Scheduler {
    const { cron, zone = 'UTC', jitterMs = 0, policy, longestSleepMs } = this.#options;
    const fires = new DueFires('the-schedule', new Timetable(cron, zone), jitterMs);
    return new Scheduler(
      fires,
      { catchUpMs: 24 * 3_600_000, overlap: 'skip', ...policy },
      {
        clock: this.clock,
        memory: this.memory,
        host: this.#host(),
        ...(longestSleepMs === undefined ? {} : { longestSleepMs }),
      },
    );
  }

  /** The process ends, time passes without it, and another one begins. */
  async down(until: string | number): Promise<void> {
    this.scheduler.stop();
    this.busy = false;
    await this.clock.until(until);
    this.scheduler = this.create();
    this.scheduler.wake();
    await this.clock.pass(0);
  }

  /** What was fired so far: when it was planned, why, and for how many others it stands. */
  get told(): string[] {
    return this.fires.map(({ at, reason, missed }) => {
      const others = missed > 0 ? ` +${missed}` : '';
      return `${new Date(at).toISOString().slice(0, 16)} ${reason}${others}`;
    });
  }

  #host(): ScheduleHost {
    const time = (at: number) => new Date(at).toISOString().slice(0, 16);
    return {
      start: (fire) => void this.fires.push(fire),
      isBusy: () => this.busy,
      show: (view) => (this.view = view),
      skipped: (at) => void this.events.push(`skipped ${time(at)}`),
      dropped: (at, count) => void this.events.push(`dropped ${count} ${time(at)}`),
      clockWentBack: (recorded) => void this.events.push(`back from ${time(recorded)}`),
      failed: ({ message }) => void this.events.push(`failed ${message}`),
    };
  }
}
