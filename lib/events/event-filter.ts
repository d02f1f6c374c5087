import { type BackupEvent, type EventName, isAtLeast, jobsOf, type Severity } from './run-event.ts';

/** Which events somebody wants to hear of. */
export interface EventChoice {
  readonly events: readonly EventName[];
  /** Names of jobs and patterns (`*` any text, `?` one character); none: all jobs. */
  readonly jobs: readonly string[];
  readonly severity: Severity;
  /** Of the ends of a job's runs, only those that are another one than before. */
  readonly onChange: boolean;
}

/** Whether an event is wanted. One that is about no job is wanted whatever the jobs are. */
export function eventFilter(choice: EventChoice): (event: BackupEvent) => boolean {
  const names = new Set(choice.events);
  const patterns = choice.jobs.map(patternOf);
  const isOfJob = (job: string) => patterns.some((pattern) => pattern.test(job));
  return (event) => {
    if (!names.has(event.event) || !isAtLeast(event.severity, choice.severity)) return false;
    const jobs = jobsOf(event) ?? [];
    if (patterns.length > 0 && jobs.length > 0 && !jobs.some(isOfJob)) return false;
    return !choice.onChange || isChange(event);
  };
}

/** A job that runs for the first time is taken for one that worked until then. */
function isChange(event: BackupEvent): boolean {
  switch (event.event) {
    case 'succeeded':
    case 'partial':
    case 'failed':
      return event.event !== (event.previous?.state ?? 'succeeded');
    default:
      return true;
  }
}

function patternOf(text: string): RegExp {
  const source = text
    .replaceAll(/[.+^${}()|[\]\\/-]/g, String.raw`\$&`)
    .replaceAll(/\*+/g, '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 's');
}
