import type { BackupEvents } from '../lib/events/event-bus.ts';
import type { BackupEvent } from '../lib/events/run-event.ts';

/** The topic of Node-RED's editor connection. */
export const NEWS_TOPIC = 'dbackup/progress';

/** What every editor gets that may see the status of nodes: no path, no storage, no error. */
export interface EditorNews {
  readonly event: BackupEvent['event'];
  readonly at: string;
  readonly severity: BackupEvent['severity'];
  readonly job?: string;
  readonly runId?: string;
  readonly stage?: string;
  readonly position?: number;
  readonly percent?: number;
  readonly rawBytes?: number;
  readonly rate?: number;
  readonly etaSeconds?: number;
}

const FIELDS = [
  'event',
  'at',
  'severity',
  'job',
  'runId',
  'stage',
  'position',
  'percent',
  'rawBytes',
  'rate',
  'etaSeconds',
] as const;

interface Comms {
  publish(topic: string, data: EditorNews, retain: boolean): void;
}

/** Tells open editors how runs get on, where there is an editor. @returns what ends that */
export function tellEditors(happenings: BackupEvents, comms: Comms | undefined): () => void {
  if (comms === undefined) return () => undefined;
  return happenings.listen((event) => comms.publish(NEWS_TOPIC, newsOf(event), false));
}

function newsOf(event: BackupEvent): EditorNews {
  const known: Partial<Record<string, unknown>> = { ...event };
  const entries = FIELDS.flatMap((field) => (known[field] === undefined ? [] : [[field, known[field]]]));
  return Object.fromEntries(entries) as EditorNews;
}
