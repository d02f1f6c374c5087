import type { EventName, Severity } from '../events/run-event.ts';
import type { ContentEvent } from './content.ts';
import type { ChannelName, Delivery } from './notifier.ts';
import type { Standing } from './policy.ts';

/** A line of the next digest. */
export interface DigestEntry {
  readonly at: string;
  readonly event: EventName | ContentEvent;
  readonly severity: Severity;
  readonly job: string;
  readonly summary: string;
}

/** What is remembered of a delivery. */
export interface DeliveryRecord {
  readonly at: string;
  readonly channel: ChannelName;
  readonly event: ContentEvent;
  readonly job: string | null;
  readonly title: string;
  readonly status: Delivery['status'];
  readonly attempts: number;
  readonly responseId: string | null;
  readonly error: string | null;
}

/** What a notifier remembers across restarts. The store implements it. Each promise rejects when it cannot. */
export interface NotificationMemory {
  standing(job: string): Promise<Standing | undefined>;
  /** Those of all jobs that fail. */
  standings(): Promise<readonly (Standing & { readonly job: string })[]>;
  /** Records how a job stands; undefined when nothing is wrong with it. */
  keep(job: string, standing: Standing | undefined): Promise<void>;
  /** Somebody has been told, at that time. */
  told(job: string, at: string): Promise<void>;
  /** Records a reminder at `now`. False when another process has done so after `before`. */
  remind(job: string, before: string, now: string): Promise<boolean>;
  /** Puts a line into the next digest. */
  collect(entry: DigestEntry): Promise<void>;
  /** The lines of the next digest, the oldest first, and how many are left out since there are too many. */
  collected(): Promise<{ readonly entries: readonly DigestEntry[]; readonly last: number }>;
  /** The lines up to that one have been told. */
  clear(last: number): Promise<void>;
  record(delivery: DeliveryRecord): Promise<void>;
  /** The last deliveries, the newest first. */
  deliveries(limit: number): Promise<readonly DeliveryRecord[]>;
}
