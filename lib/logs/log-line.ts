/** How much a line matters, from the least. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];

/** One line of a run's log. */
export interface LogLine {
  readonly run: string;
  /** ISO 8601 in UTC. */
  readonly at: string;
  readonly level: LogLevel;
  /** Id of the node that it concerns. */
  readonly node: string | null;
  readonly message: string;
}

/** The levels that matter at least as much as this one. */
export function levelsFrom(least: LogLevel): readonly LogLevel[] {
  return LOG_LEVELS.slice(LOG_LEVELS.indexOf(least));
}
