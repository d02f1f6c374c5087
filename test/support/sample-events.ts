import type { BackupEvent } from '../../lib/events/run-event.ts';
import type { NotificationContent } from '../../lib/notifiers/content.ts';
import { contentOfEvent } from '../../lib/notifiers/event-content.ts';
import { readEvent } from '../../lib/notifiers/read-event.ts';

export const RUN_ID = '6f0c1c62-1d0e-4b57-9c0b-8f6f1f3a2b10';

const details = {
  job: 'shop',
  runId: RUN_ID,
  trigger: 'schedule',
  openedAt: '2026-11-23T01:30:00.000Z',
  finishedAt: '2026-11-23T01:31:23.000Z',
  durationSeconds: 83,
  rawBytes: 1_234_000_000,
} as const;

/** An event of each kind that a run brings about. */
export function sampleEvent(
  event: 'started' | 'succeeded' | 'partial' | 'failed' | 'cancelled',
): BackupEvent {
  const head = { at: '2026-11-23T01:31:23.000Z', summary: `shop: the backup has ${event}` };
  if (event === 'started') return { event, severity: 'info', ...head, job: 'shop', runId: RUN_ID };
  const error = { code: 'unavailable', message: 'The server db1 does not answer', transient: true } as const;
  const isBad = event !== 'succeeded';
  return {
    event,
    severity: event === 'failed' ? 'error' : isBad ? 'warning' : 'info',
    ...head,
    ...details,
    databases: [
      { name: 'shop', node: 'n1', status: 'ok', rawBytes: 1_200_000_000 },
      isBad
        ? { name: 'users', node: 'n1', status: 'failed', error }
        : { name: 'users', node: 'n1', status: 'ok', rawBytes: 34_000_000 },
    ],
    destinations: [
      {
        label: 'Disk',
        node: 'n2',
        status: isBad ? 'partial' : 'complete',
        storage: 'file:///backups',
        path: 'shop/20261123T013000Z_6f0c1c62',
        storedBytes: 412_000_000,
        attempts: 1,
        verified: true,
        healed: false,
      },
    ],
    ...(isBad ? { error } : {}),
  };
}

/** How far a run is. */
export function sampleProgress(
  rawBytes: number,
  of: { readonly runId: string; readonly job: string } = { runId: RUN_ID, job: 'shop' },
): BackupEvent {
  return {
    event: 'progress',
    at: '2026-11-23T01:30:30.000Z',
    severity: 'info',
    summary: `${of.job}: ${rawBytes} bytes are dumped`,
    ...of,
    stage: 'dumping',
    database: 'shop',
    index: 1,
    count: 2,
    rawBytes,
    rate: 1000,
    destinations: [],
  };
}

/** The content of an event, as a notifier makes it of a message. */
export function contentOf(event: unknown): NotificationContent {
  const facts = readEvent(event);
  if (facts === undefined) throw new Error('This is no event');
  return contentOfEvent(facts, [{ title: 'Dashboard', url: 'https://backup.example.com/' }]);
}

export function sampleContent(event: Parameters<typeof sampleEvent>[0] = 'failed'): NotificationContent {
  return contentOf(sampleEvent(event));
}
