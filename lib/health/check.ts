/** `warn` is to be looked at by a person; with `fail` no backup would succeed. */
export type HealthState = 'ok' | 'warn' | 'fail';

export interface Verdict {
  readonly state: HealthState;
  /** A sentence for people, without secrets. */
  readonly message: string;
}

/** One thing that must hold for backups to succeed. */
export interface HealthCheck {
  /** What is looked at: `store`, `free-space`. */
  readonly name: string;
  /** Which one, for people, where there are several: the name of a destination. */
  readonly subject?: string;
  /** Tells what is known now: it waits for nothing and never throws. */
  look(): Verdict;
}

export interface CheckResult extends Verdict {
  readonly name: string;
  readonly subject?: string;
  /** Since when it has been in this state; ISO 8601 in UTC. */
  readonly since: string;
}

export interface HealthReport {
  /** The worst of all checks. */
  readonly state: HealthState;
  readonly checks: readonly CheckResult[];
}
