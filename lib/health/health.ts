import type { Clock } from '../clock.ts';
import type { CheckResult, HealthCheck, HealthReport, HealthState } from './check.ts';

const BY_SEVERITY: readonly HealthState[] = ['fail', 'warn', 'ok'];

/** Looks at checks, and remembers since when each is in its state. */
export class Health {
  readonly #clock: Clock;
  #known = new Map<string, { readonly state: HealthState; readonly since: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param checks all that there are now: what is remembered of others is forgotten */
  report(checks: readonly HealthCheck[]): HealthReport {
    const known = new Map<string, { readonly state: HealthState; readonly since: number }>();
    const results = checks.map((check): CheckResult => {
      const { name, subject } = check;
      const key = `${name}\n${subject ?? ''}`;
      const verdict = check.look();
      const before = this.#known.get(key);
      const since = before?.state === verdict.state ? before.since : this.#clock.now();
      known.set(key, { state: verdict.state, since });
      return {
        name,
        ...(subject === undefined ? {} : { subject }),
        ...verdict,
        since: new Date(since).toISOString(),
      };
    });
    this.#known = known;
    const state = BY_SEVERITY.find((severity) => results.some((result) => result.state === severity));
    return { state: state ?? 'ok', checks: results };
  }
}
