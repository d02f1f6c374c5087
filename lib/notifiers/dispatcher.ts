import type { Clock, ClockTimer } from '../clock.ts';
import { type BackupError, toBackupError } from '../errors.ts';
import { DueFires } from '../schedule/due-fires.ts';
import { type ScheduleMemory, Scheduler } from '../schedule/scheduler.ts';
import { hostTimeZone } from '../schedule/time-zone.ts';
import { Timetable } from '../schedule/timetable.ts';
import { type ContentLink, isEndOfRun, isProgress, type NotificationContent } from './content.ts';
import { digestOf } from './digest.ts';
import type { NotificationMemory } from './memory.ts';
import type { Delivery, Notifier } from './notifier.ts';
import { Outbox, type Sent } from './outbox.ts';
import { reminderOf } from './own-content.ts';
import {
  isToBeReminded,
  judge,
  levelOf,
  type PolicyOptions,
  remembersJobs,
  type Standing,
  type Verdict,
} from './policy.ts';

const HOUR_MS = 3_600_000;
/** How often is looked whether a reminder is due, in ms. */
const LOOK_MS = 60_000;
/** A digest that was missed is made up for when it is not older than this, in ms. */
const CATCH_UP_MS = 24 * HOUR_MS;

/** What became of an event. `suppressed`: the policy tells nobody of it now. */
export type Outcome = Sent | { readonly status: 'suppressed' };

export interface DispatcherParts {
  /** Names it in its memory: the id of its node. */
  readonly id: string;
  readonly notifier: Notifier;
  readonly policy: PolicyOptions;
  readonly clock: Clock;
  /** Opened when it is needed first. */
  memory(): Promise<NotificationMemory>;
  readonly digestMemory: ScheduleMemory;
  readonly links: readonly ContentLink[];
  /** Aborted when nothing is sent any more. */
  readonly closing: AbortSignal;
  /** Is told what became of every notification that was sent, reminders and digests included. */
  delivered(delivery: Delivery, content: NotificationContent): void;
  /** Is told of progress that is told to nobody, since there is newer progress or its run is over. */
  overtaken(content: NotificationContent): void;
  /** Is told of deliveries that no message has brought about, and that failed. */
  failed(error: BackupError): void;
  /** Is told what could not be remembered: notifications are sent all the same. */
  warn(message: string): void;
}

/** Tells people of events by a policy: at once, on changes, again as a reminder, or once a day. */
export class NotificationDispatcher {
  readonly #parts: DispatcherParts;
  readonly #outbox: Outbox;
  /** Failures that somebody is being told of at this moment. */
  readonly #telling = new Set<NotificationContent>();
  #turn: Promise<unknown> = Promise.resolve();
  #reminding: ClockTimer | undefined;
  #digests: Scheduler | undefined;
  #stopped = false;

  constructor(parts: DispatcherParts) {
    this.#parts = parts;
    this.#outbox = new Outbox(parts.notifier, parts.closing);
  }

  /** Begins to remind, and to send digests. */
  begin(): void {
    const { policy } = this.#parts;
    if (this.#stopped) return;
    if (policy.reminderHours > 0) this.#remindLater();
    if (!policy.deliver.startsWith('digest')) return;
    this.#digests = this.#schedule();
    this.#digests.wake();
  }

  /** Ends that. What is being sent goes on, but for progress: the end of its run comes to the node that follows. */
  stop(): void {
    this.#stopped = true;
    this.#outbox.endProgress();
    this.#reminding?.cancel();
    this.#digests?.stop();
  }

  /** Tells of an event, as far as the policy says. Never rejects. */
  async handle(content: NotificationContent): Promise<Outcome> {
    // One after the other: what is decided about an event depends on the one before.
    const deciding = this.#turn.then(() => this.#decide(content));
    this.#turn = deciding;
    const { tell } = await deciding;
    // Also when nobody is told of the end.
    if (isEndOfRun(content)) this.#outbox.endProgressOf(content);
    if (tell === undefined) return { status: 'suppressed' };
    if (!isFailure(tell)) return await this.send(tell);
    this.#telling.add(tell);
    try {
      const delivery = await this.send(tell);
      if (delivery.status !== 'failed') {
        await this.#remember((memory) => memory.told(content.job ?? '', this.#now()));
      }
      return delivery;
    } finally {
      this.#telling.delete(tell);
    }
  }

  /** Sends a notification whatever the policy is, and records what became of it. Never rejects. */
  async send(content: NotificationContent): Promise<Sent> {
    const { notifier } = this.#parts;
    const delivery = await this.#outbox.send(content);
    if (delivery.status === 'overtaken') {
      this.#parts.overtaken(content);
      return delivery;
    }
    this.#parts.delivered(delivery, content);
    // The history keeps few: progress would leave no room for what matters.
    if (isProgress(content)) return delivery;
    await this.#remember((memory) =>
      memory.record({
        at: this.#now(),
        channel: notifier.channel,
        event: content.event,
        job: content.job ?? null,
        title: content.title,
        status: delivery.status,
        attempts: delivery.attempts,
        responseId: delivery.responseId ?? null,
        error: delivery.error?.message ?? null,
      }),
    );
    return delivery;
  }

  async #decide(content: NotificationContent): Promise<Verdict> {
    const { policy } = this.#parts;
    const job = content.job ?? '';
    const known = remembersJobs(policy) ? await this.#standingOf(job) : undefined;
    const verdict = judge(policy, content, known);
    const { standing, collect } = verdict;
    if (remembersJobs(policy) && standing !== 'same') {
      await this.#remember((memory) => memory.keep(job, standing));
    }
    if (collect) {
      const { at, event, severity, summary } = content;
      const kept = await this.#remember((memory) => memory.collect({ at, event, severity, job, summary }));
      // What no digest can tell is told now.
      if (!kept) return { ...verdict, tell: verdict.tell ?? content };
    }
    return verdict;
  }

  async #standingOf(job: string): Promise<Standing | undefined> {
    let standing: Standing | undefined;
    await this.#remember(async (memory) => {
      standing = await memory.standing(job);
    });
    const isBeingTold = [...this.#telling].some((failure) => (failure.job ?? '') === job);
    return standing !== undefined && isBeingTold ? { ...standing, told: true } : standing;
  }

  #remindLater(): void {
    if (this.#stopped) return;
    this.#reminding = this.#parts.clock.setTimer(() => {
      this.#remind().finally(() => this.#remindLater());
    }, LOOK_MS);
  }

  async #remind(): Promise<void> {
    const { policy, clock } = this.#parts;
    const dueBefore = clock.now() - policy.reminderHours * HOUR_MS;
    await this.#remember(async (memory) => {
      for (const standing of await memory.standings()) {
        const { job, last, since, remindedAt } = standing;
        if (this.#stopped || !isToBeReminded(policy, standing) || Date.parse(remindedAt) > dueBefore)
          continue;
        if (!(await memory.remind(job, remindedAt, this.#now()))) continue;
        const sent = await this.#tellUnasked(reminderOf(last, new Date(since), new Date(clock.now())));
        if (sent && !standing.told) await memory.told(job, this.#now());
      }
    });
  }

  #schedule(): Scheduler {
    const { id, policy, clock, digestMemory } = this.#parts;
    const [hour, minute] = policy.digestTime.split(':').map(Number);
    const zone =
      policy.digestZone === undefined || policy.digestZone === '' ? hostTimeZone() : policy.digestZone;
    const fires = new DueFires(`${id}/digest`, new Timetable(`${minute} ${hour} * * *`, zone), 0);
    return new Scheduler(
      fires,
      { catchUpMs: CATCH_UP_MS, overlap: 'skip' },
      {
        clock,
        memory: digestMemory,
        host: {
          start: () => void this.#digest(),
          isBusy: () => false,
          show: ignore,
          skipped: ignore,
          dropped: ignore,
          clockWentBack: ignore,
          failed: (error) => this.#parts.warn(`No digest can be sent until this is mended: ${error.message}`),
        },
      },
    );
  }

  async #digest(): Promise<void> {
    const { clock, links } = this.#parts;
    await this.#remember(async (memory) => {
      const { entries, last } = await memory.collected();
      const sent = await this.#tellUnasked(digestOf(entries, new Date(clock.now()), links));
      // What could not be told stands in the next one, too.
      if (sent) await memory.clear(last);
    });
  }

  async #tellUnasked(content: NotificationContent): Promise<boolean> {
    const delivery = await this.send(content);
    if ('error' in delivery && delivery.error !== undefined) this.#parts.failed(delivery.error);
    return delivery.status !== 'failed';
  }

  /** False when it could not be. A history that cannot be written must not keep people from being told. */
  async #remember(work: (memory: NotificationMemory) => Promise<void>): Promise<boolean> {
    try {
      await work(await this.#parts.memory());
      return true;
    } catch (thrown) {
      if (!this.#parts.closing.aborted) {
        this.#parts.warn(`Notifications cannot be recorded: ${toBackupError(thrown).message}`);
      }
      return false;
    }
  }

  #now(): string {
    return new Date(this.#parts.clock.now()).toISOString();
  }
}

function isFailure({ event }: NotificationContent): boolean {
  return (levelOf(event) ?? 0) > 0;
}

function ignore(): void {}
