import { BackupError, toBackupError } from '../../lib/errors.ts';
import type { ScheduleWatch } from '../../lib/health/schedule-check.ts';
import type { FireLease } from '../../lib/queue/lease.ts';
import { DueFires } from '../../lib/schedule/due-fires.ts';
import { timetableOf } from '../../lib/schedule/options.ts';
import {
  type Fire,
  type ScheduleHost,
  type ScheduleMemory,
  type SchedulePolicy,
  Scheduler,
  type ScheduleView,
} from '../../lib/schedule/scheduler.ts';
import type { BackupMessage, NodeContext } from '../define-node.ts';
import type { ScheduleService } from '../services.ts';
import { dateAndTime, shortTime } from './local-time.ts';
import { commandOf } from './schedule-command.ts';
import type { ScheduleSettings } from './schedule-settings.ts';
import { scheduleStatus } from './schedule-status.ts';
import { SharedSchedule } from './shared-schedule.ts';

const HOUR_MS = 3_600_000;
/** How long the flow gets after it has started before missed fires are made up for, in ms. */
const SETTLE_MS = 1000;

/** What a running schedule node does: a scheduler whose fires are messages, and whose views are its status. */
export class ScheduleNode implements ScheduleService, ScheduleHost {
  readonly #context: NodeContext<ScheduleSettings>;
  readonly #fires: DueFires;
  readonly #policy: SchedulePolicy;
  readonly #scheduler: Scheduler;
  /** Where several processes share the work. */
  #shared: SharedSchedule | undefined;
  #shown = '';
  #view: ScheduleView | undefined;
  /** When it looked at the clock last, or began to. */
  #lookedAt = 0;
  #latenessMs: number | undefined;

  constructor(context: NodeContext<ScheduleSettings>) {
    const { id, settings } = context;
    this.#context = context;
    this.#fires = new DueFires(id, timetableOf(settings), settings.jitter * 1000);
    this.#policy = { catchUpMs: settings.catchUp * HOUR_MS, overlap: settings.overlap };
    this.#scheduler = new Scheduler(this.#fires, this.#policy, {
      clock: { now: () => this.#now(), setTimer: (call, ms) => context.runtime.clock.setTimer(call, ms) },
      memory: this.#memory(),
      host: this,
    });
  }

  /** Begins to fire by itself once all nodes of the flow have started. */
  begin(): void {
    const { runtime, id } = this.#context;
    this.#lookedAt = this.#now();
    if (!this.#firesByItself()) return;
    this.#shared = this.#share();
    runtime.launches.onEnded(id, this.#onEnded);
    runtime.jobs.watch(this.#onDeadLetters);
    runtime.ending.addEventListener('abort', this.#onEnding);
    runtime.deploys.onceStarted(() => {
      runtime.clock.setTimer(() => this.#scheduler.wake(), SETTLE_MS);
      this.#shared?.begin();
    });
  }

  stop(): void {
    this.#scheduler.stop();
    this.#shared?.stop();
    const { runtime, id } = this.#context;
    runtime.launches.offEnded(id, this.#onEnded);
    runtime.ending.removeEventListener('abort', this.#onEnding);
    runtime.jobs.unwatch(this.#onDeadLetters);
  }

  async obey(message: BackupMessage): Promise<void> {
    try {
      await this[commandOf(message)]();
    } catch (thrown) {
      // Its error is shown in place of what the schedule does, but not until that changes.
      this.#shown = '';
      throw thrown;
    }
  }

  async fire(): Promise<void> {
    const start = () => this.start({ at: this.#now(), reason: 'manual', missed: 0 });
    if (this.#shared === undefined) start();
    else await this.#shared.byHand(start);
    if (this.#firesByItself()) this.#scheduler.wake();
  }

  pause(): Promise<void> {
    return this.#scheduler.pause();
  }

  resume(): Promise<void> {
    return this.#scheduler.resume();
  }

  watch(): ScheduleWatch {
    return { view: this.#view, lookedAt: this.#lookedAt, latenessMs: this.#latenessMs };
  }

  start({ at, reason, missed }: Fire, attempt = 1, lease?: FireLease): void {
    const { runtime, self } = this.#context;
    if (runtime.ending.aborted) return;
    if (reason === 'schedule') this.#latenessMs = this.#now() - at;
    const again = attempt > 1 ? { attempt } : {};
    const payload = { scheduledAt: new Date(at).toISOString(), reason, missed, ...again };
    this.#context.launch({ topic: self.name ?? '', payload }, { reason, lease });
  }

  handedOver(): void {
    this.#shared?.wake();
  }

  isBusy(): boolean {
    const { runtime, id } = this.#context;
    return runtime.launches.isActive(id);
  }

  show(view: ScheduleView): void {
    const now = this.#now();
    this.#view = view;
    this.#lookedAt = now;
    this.#showStatus(view, now);
  }

  #showStatus(view: ScheduleView, now: number): void {
    const time = (at: number) => shortTime(at, this.#fires.timetable.zone, now);
    const status = scheduleStatus(view, this.#text, time, this.#deadLetters());
    const shown = JSON.stringify(status);
    if (shown !== this.#shown) this.#context.status(status);
    this.#shown = shown;
  }

  skipped(at: number): void {
    const { runtime, id } = this.#context;
    const holders = runtime.launches.holders(id).join(', ') || '–';
    this.#context.warn(this.#text('message.skipped', { at: this.#time(at), holders }));
    this.#recordSkipped(at, holders).catch((thrown: unknown) => {
      this.#context.warn(this.#text('message.unrecorded', { reason: toBackupError(thrown).message }));
    });
  }

  async #recordSkipped(at: number, holders: string): Promise<void> {
    const { runtime, id, label } = this.#context;
    const message = `The fire of ${label} at ${this.#time(at)} was skipped: what an earlier one has started still goes on (in: ${holders})`;
    const sources = runtime.jobsBehind.sources(id);
    for (const job of new Set(sources.map((source) => source.job))) {
      const nodes = [id, ...sources.filter((source) => source.job === job).map((source) => source.id)];
      await runtime.jobs.skip({ job, reason: 'overlap', message, nodes });
    }
  }

  /** Jobs behind it that it begins no more. */
  #deadLetters(): string[] {
    const { runtime, id } = this.#context;
    const { deadLetters } = runtime.jobs;
    return deadLetters.size === 0 ? [] : runtime.jobsBehind.jobs(id).filter((job) => deadLetters.has(job));
  }

  dropped(at: number, count: number): void {
    const { catchUp } = this.#context.settings;
    this.#context.warn(this.#text('message.dropped', { at: this.#time(at), count, hours: catchUp }));
    this.#tellMissed(at, count);
  }

  #tellMissed(at: number, count: number): void {
    const { runtime, id } = this.#context;
    const schedule = runtime.watched.nameOf(id);
    const plannedFor = new Date(at).toISOString();
    const times = count === 1 ? 'once' : `${count} times`;
    runtime.happenings.tell({
      event: 'schedule-missed',
      schedule,
      node: id,
      jobs: runtime.jobsBehind.jobs(id),
      plannedFor,
      count,
      summary: `The schedule ${schedule} did not fire ${times}, the last one planned for ${plannedFor}: that is too old to be made up for`,
    });
  }

  clockWentBack(recorded: number): void {
    this.#context.warn(this.#text('message.clock', { at: this.#time(recorded) }));
  }

  failed({ code, message, transient }: BackupError): void {
    const told = `The schedule cannot fire until this is mended: ${message}`;
    this.#context.report(new BackupError(code, told, { transient }));
  }

  /** A runner that runs a flow once fires by hand only. */
  #firesByItself(): boolean {
    return this.#context.runtime.settings.schedules !== false;
  }

  /** Only when it is needed: a node that is merely asked what it offers has no runtime. */
  #now(): number {
    return this.#context.runtime.clock.now();
  }

  #time(at: number): string {
    return dateAndTime(at, this.#fires.timetable.zone);
  }

  readonly #onDeadLetters = (): void => {
    if (this.#view !== undefined) this.#showStatus(this.#view, this.#now());
  };

  readonly #onEnding = (): void => this.stop();

  readonly #onEnded = (): void => this.#scheduler.wake();

  readonly #text = (key: string, values?: Readonly<Record<string, string | number>>): string =>
    this.#context.text(`${this.#context.type}.${key}`, values);

  #share(): SharedSchedule | undefined {
    const { runtime, id } = this.#context;
    const queue = runtime.sharedQueue;
    if (queue === undefined) return undefined;
    return new SharedSchedule({
      id,
      runtime,
      queue,
      policy: this.#policy,
      start: (fire, attempt, lease) => this.start(fire, attempt, lease),
      dropped: (at, count) => this.dropped(at, count),
      failed: (error) => this.failed(error),
      unseen: ({ message }) => this.#context.warn(this.#text('message.unseen', { reason: message })),
    });
  }

  /** The store is opened at the first use, and again when it could not be. */
  #memory(): ScheduleMemory {
    const { runtime, id } = this.#context;
    const shared = () => this.#shared;
    const stored = async () => (await runtime.store()).schedule(id);
    return {
      open: async (timetable, now) => (await stored()).open(timetable, now),
      claim: async (at) => (await stored()).claim(at),
      restart: async (now) => (await stored()).restart(now),
      pause: async () => (await stored()).pause(),
      resume: async (now) => (await stored()).resume(now),
      get handOver() {
        const handOver = shared();
        return handOver === undefined ? undefined : (fire: Fire) => handOver.handOver(fire);
      },
    };
  }
}
