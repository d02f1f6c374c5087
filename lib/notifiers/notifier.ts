import { orAbort } from '../abort.ts';
import { type Backoff, pause, pauseBefore } from '../backoff.ts';
import { type Clock, systemClock } from '../clock.ts';
import { abortError, BackupError, throwIfAborted, toBackupError } from '../errors.ts';
import { isProgress, type NotificationContent } from './content.ts';
import { DeliveryError } from './delivery-error.ts';
import { withoutSecrets } from './redact.ts';

/** The services that can be notified; the values are a label of metrics. */
export const CHANNELS = [
  'discord',
  'email',
  'slack',
  'teams',
  'webhook',
  'pagerduty',
  'ntfy',
  'gotify',
  'uptime-kuma',
  'healthchecks',
  'telegram',
] as const;

export type ChannelName = (typeof CHANNELS)[number];

/** What a service has said about a message that it took. */
export interface Receipt {
  /** By which the service knows the message. */
  readonly responseId?: string;
}

/** A message as it will be sent. */
export type Prepared =
  | {
      /** What people should know of how it was made: `The template has an error in line 3`. */
      readonly notes: readonly string[];
      /**
       * Sends it, once; called again when it fails with a passing error.
       * @throws BackupError, a `DeliveryError` when the service has said how long to wait
       */
      attempt(signal: AbortSignal): Promise<Receipt>;
    }
  /** There is nothing to be sent to this channel for that event, and why. */
  | { readonly skip: string };

/** One way to reach people: renders a message and sends it. */
export interface Channel {
  readonly name: ChannelName;
  /** Where it sends to, for people: `Discord (discord.com)`. Never a secret. */
  describe(): string;
  /** What must not stand in any text. */
  readonly secrets: readonly string[];
  prepare(content: NotificationContent): Prepared;
}

/** What became of a notification. `skipped`: the channel has nothing to tell of such an event. */
export interface Delivery {
  readonly status: 'delivered' | 'skipped' | 'failed';
  readonly attempts: number;
  readonly responseId?: string;
  readonly notes: readonly string[];
  /** Why it failed. */
  readonly error?: BackupError;
}

/** Sends notifications through one channel. */
export interface Notifier {
  readonly channel: ChannelName;
  describe(): string;
  /** Never rejects: a notification that cannot be sent is a failed delivery. */
  send(content: NotificationContent, signal: AbortSignal): Promise<Delivery>;
}

export interface NotifierOptions {
  /** How often a message is tried that fails with passing errors. Progress is tried once: more follows. */
  readonly attempts: number;
  /** Longest time for one attempt, in ms. */
  readonly attemptMs: number;
  /** No attempt begins later than that after the first, in ms. */
  readonly totalMs: number;
  readonly pauses: Backoff;
  readonly clock: Clock;
  /** At least 0, less than 1. */
  readonly random: () => number;
}

export const DEFAULT_NOTIFIER_OPTIONS: NotifierOptions = {
  attempts: 5,
  attemptMs: 20_000,
  totalMs: 5 * 60_000,
  pauses: { firstMs: 2000, longestMs: 60_000 },
  clock: systemClock,
  random: Math.random,
};

/** Adds to a channel what all of them need: time limits, attempts with growing pauses, errors without secrets. */
export function createNotifier(channel: Channel, options: Partial<NotifierOptions> = {}): Notifier {
  const settings = { ...DEFAULT_NOTIFIER_OPTIONS, ...options };
  return {
    channel: channel.name,
    describe: () => channel.describe(),
    send: (content, signal) => new Sending(channel, settings, signal).send(content),
  };
}

class Sending {
  readonly #channel: Channel;
  readonly #options: NotifierOptions;
  readonly #signal: AbortSignal;
  #attempts = 0;

  constructor(channel: Channel, options: NotifierOptions, signal: AbortSignal) {
    this.#channel = channel;
    this.#options = options;
    this.#signal = signal;
  }

  async send(content: NotificationContent): Promise<Delivery> {
    let notes: readonly string[] = [];
    try {
      throwIfAborted(this.#signal);
      const prepared = this.#channel.prepare(content);
      if ('skip' in prepared) return { status: 'skipped', attempts: 0, notes: [prepared.skip] };
      notes = prepared.notes;
      const attempts = isProgress(content) ? 1 : this.#options.attempts;
      const receipt = await this.#persist(attempts, (signal) => prepared.attempt(signal));
      return { status: 'delivered', attempts: this.#attempts, notes, ...receipt };
    } catch (thrown) {
      return { status: 'failed', attempts: this.#attempts, notes, error: this.#errorOf(thrown) };
    }
  }

  async #persist(attempts: number, attempt: (signal: AbortSignal) => Promise<Receipt>): Promise<Receipt> {
    const { totalMs, clock } = this.#options;
    const begun = clock.now();
    for (;;) {
      this.#attempts += 1;
      try {
        return await this.#within(attempt);
      } catch (thrown) {
        const error = toBackupError(thrown);
        const wait = this.#pauseAfter(error);
        const tooLate = clock.now() - begun + wait > totalMs;
        if (this.#signal.aborted || !error.transient || this.#attempts >= attempts || tooLate) throw error;
        await pause(wait, this.#signal, clock);
      }
    }
  }

  /** As long as the service asks for, at least; with some jitter, since others were told the same. */
  #pauseAfter(error: BackupError): number {
    const { pauses, random } = this.#options;
    const own = pauseBefore(this.#attempts, pauses, random);
    const asked = error instanceof DeliveryError ? (error.retryAfterMs ?? 0) : 0;
    return asked > 0 ? asked + random() * Math.min(1000, asked) : own;
  }

  /** One attempt, which ends in time whatever the channel does. */
  async #within(attempt: (signal: AbortSignal) => Promise<Receipt>): Promise<Receipt> {
    const { attemptMs, clock } = this.#options;
    const limit = new AbortController();
    const timer = clock.setTimer(
      () =>
        limit.abort(new DeliveryError(`no answer within ${attemptMs / 1000} seconds`, { transient: true })),
      attemptMs,
    );
    const signal = AbortSignal.any([this.#signal, limit.signal]);
    try {
      return await orAbort(attempt(signal), signal);
    } catch (thrown) {
      // What a channel makes of the abort does not matter.
      throw limit.signal.aborted && !this.#signal.aborted ? abortError(limit.signal) : thrown;
    } finally {
      timer.cancel();
      limit.abort();
    }
  }

  #errorOf(thrown: unknown): BackupError {
    const { code, message, transient } = this.#signal.aborted
      ? abortError(this.#signal)
      : toBackupError(thrown);
    const tries = this.#attempts > 1 ? ` (${this.#attempts} attempts)` : '';
    const told = `${this.#channel.describe()} was not notified${tries}: ${message}`;
    return new BackupError(code, withoutSecrets(told, this.#channel.secrets), { transient });
  }
}
