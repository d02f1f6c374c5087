import type { Clock } from '../lib/clock.ts';
import type { RetentionCalendar } from '../lib/retention/calendar.ts';
import type { PlaceBefore } from './places-before.ts';
import type { ServiceKey, ServiceUse } from './services.ts';

/** Routes below `/dbackup/api/` that buttons of edit forms ask. */
export type ActionRoute =
  | 'storages/test'
  | 'sources/databases'
  | 'servers/test'
  | 'keys/test'
  | 'notifiers/test'
  | 'schedules/next'
  | 'schedules/fire'
  | 'schedules/pause'
  | 'schedules/resume'
  | 'retention/dry-run'
  | 'retention/simulate';

/** A button of an edit form that asks the runtime about the values in the form, deployed or not. */
export interface FormAction {
  /** Catalogue key of its label, below `<type>.actions`. */
  readonly name: string;
  readonly route: ActionRoute;
  /** Font Awesome 4 name. */
  readonly icon: string;
  /** Values for fields that the answer does not depend on, while they are still empty. */
  readonly standIns?: Readonly<Record<string, string | readonly string[]>>;
  /** List field that a click on a row of the answer adds to, or removes from. */
  readonly adds?: string;
  /** It is asked when the form opens and when a value changes, too: it only computes. */
  readonly live?: boolean;
  /** Choices of a select beside the button, the first of which is taken at first: nothing that is stored. */
  readonly options?: readonly string[];
  /** It is about the node that runs, whatever stands in the form: `run` gets no settings. */
  readonly ofRunningNode?: boolean;
  /**
   * Finds out what the person wants to know. What it throws is shown to them.
   * @param settings as `readSettings` gives them for the node's schema
   */
  run(settings: never, environment: ActionEnvironment): Promise<ActionAnswer>;
}

export interface ActionEnvironment {
  /** Folder of the history and the key vault. */
  readonly dataDir: string;
  readonly clock: Clock;
  /** The person's language, as browsers name it: `de`. */
  readonly language: string;
  /**
   * What the node of the form offers, as it runs now.
   * @throws BackupError `not-found` when it does not run
   */
  running<Service>(key: ServiceKey<Service>): Service;
  /** What was chosen beside the button. */
  readonly option?: string | undefined;
  /** Where the destinations store that lead to the node, as it is deployed. */
  before(): readonly PlaceBefore[];
  /** Aborted when the person gave up or it takes too long. */
  readonly signal: AbortSignal;
  /**
   * What a config node offers that the form refers to, as it stands in the editor, deployed or not.
   * @throws BackupError `invalid-config` when it is missing or not set up
   */
  readonly use: ServiceUse;
}

export interface AnswerRow {
  readonly name: string;
  readonly detail: string;
  /** The same as `detail`, for people who read another language. */
  readonly texts?: readonly AnswerText[];
  /** The entry that stands for this row in the list field that the action adds to. */
  readonly entry?: string;
  /** `heading` of the rows below it; `removed`: what it is about goes. */
  readonly tone?: 'heading' | 'removed';
}

/** A text of the catalogue, below `<type>.actions`. */
export interface AnswerText {
  readonly text: string;
  readonly values?: Readonly<Record<string, string | number>>;
}

/** What a person is told: a text of the catalogue, below `<type>.actions`, with its values. */
export interface ActionAnswer {
  readonly level: 'ok' | 'warning';
  readonly text: string;
  readonly values?: Readonly<Record<string, string | number>>;
  /** A list to show below: databases with their sizes. */
  readonly rows?: readonly AnswerRow[];
  /** A calendar to show below, of what is kept. */
  readonly calendar?: RetentionCalendar;
  /** Lines that are shown as they are. */
  readonly notes?: readonly string[];
  /** What fields stand for while they are empty. */
  readonly placeholders?: Readonly<Record<string, string>>;
}
