import { hostname } from 'node:os';
import { createContent, type NotificationContent } from './content.ts';

const NOTHING = { facts: [], databases: [], destinations: [], errors: [] } as const;

/** What *Send test* sends: it shows each part that a notification may have. */
export function testContent(at: Date, from: string): NotificationContent {
  return createContent({
    event: 'test',
    severity: 'info',
    at: at.toISOString(),
    job: 'test',
    host: hostname(),
    title: 'Test of DBackup',
    summary: `This is a test by ${from}. Real notifications look like this.`,
    durationSeconds: 83,
    rawBytes: 1_234_000_000,
    facts: [
      { name: 'Databases', value: '2 of 2 stored' },
      { name: 'Size', value: '1.2 GB' },
      { name: 'Duration', value: '1 min 23 s' },
      { name: 'Host', value: hostname() },
    ],
    databases: [
      { name: 'shop', status: 'ok', bytes: 1_200_000_000 },
      { name: 'users', status: 'ok', bytes: 34_000_000 },
    ],
    destinations: [{ name: 'Example storage', status: 'complete', bytes: 412_000_000 }],
    errors: [],
  });
}

/** An error that a node has reported to a Catch node. */
export function contentOfError(error: {
  readonly at: Date;
  readonly message: string;
  /** The node that reported it, for people. */
  readonly source: string;
  readonly job?: string;
  readonly runId?: string;
}): NotificationContent {
  const { at, message, source, job, runId } = error;
  return createContent({
    event: 'error',
    severity: 'error',
    at: at.toISOString(),
    ...(job === undefined ? {} : { job }),
    ...(runId === undefined ? {} : { runId }),
    host: hostname(),
    title: `${job ?? source}: an error was reported`,
    summary: message,
    ...NOTHING,
    facts: [
      ...(job === undefined ? [] : [{ name: 'Job', value: job }]),
      { name: 'Node', value: source },
      { name: 'Host', value: hostname() },
    ],
  });
}

/** A text that somebody wants to be sent. */
export function contentOfText(text: { readonly at: Date; readonly title: string; readonly summary: string }) {
  const { at, title, summary } = text;
  return createContent({
    event: 'message',
    severity: 'info',
    at: at.toISOString(),
    host: hostname(),
    title,
    summary,
    ...NOTHING,
  });
}

/** Reminds of a job that fails still. */
export function reminderOf(last: NotificationContent, since: Date, now: Date): NotificationContent {
  const hours = Math.floor((now.getTime() - since.getTime()) / 3_600_000);
  const time = hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} days`;
  return createContent({
    ...last,
    event: 'reminder',
    at: now.toISOString(),
    title: `${last.job ?? last.title}: still not backed up`,
    summary: `It has not succeeded for ${time}. The last that was told: ${last.summary}`,
  });
}

/** What a success says after failures that were told. */
export function recoveryOf(last: NotificationContent): NotificationContent {
  return { ...last, event: 'recovered', title: `${last.job ?? 'DBackup'}: backups work again` };
}
