/** One line of a results file, written by the reporter and read by the runner. */
export type ResultLine =
  | { readonly type: 'passed'; readonly title: string }
  | { readonly type: 'skipped'; readonly title: string; readonly reason: string }
  | { readonly type: 'failed'; readonly title: string; readonly error: string }
  | { readonly type: 'end' };

export interface FailedTest {
  readonly title: string;
  readonly error: string;
}

export interface SkippedTest {
  readonly title: string;
  readonly reason: string;
}

/** What one mocha process, or the whole run, came to. */
export interface Tally {
  readonly passed: number;
  readonly failed: readonly FailedTest[];
  readonly skipped: readonly SkippedTest[];
}

/** Marks a skipped test that needs a server of other people: allowed even where skipping is forbidden. */
const FOREIGN = 'foreign suite:';

export function sum(tallies: readonly Tally[]): Tally {
  return {
    passed: tallies.reduce((total, { passed }) => total + passed, 0),
    failed: tallies.flatMap(({ failed }) => failed),
    skipped: tallies.flatMap(({ skipped }) => skipped),
  };
}

/** The same with every skipped test counted as failed, but those of foreign suites. */
export function withoutSkips({ passed, failed, skipped }: Tally): Tally {
  const forbidden = skipped.filter(({ reason }) => !reason.startsWith(FOREIGN));
  return {
    passed,
    failed: [
      ...failed,
      ...forbidden.map(({ title, reason }) => ({
        title,
        error: `Skipped, which is forbidden in this run: ${reason}`,
      })),
    ],
    skipped: skipped.filter(({ reason }) => reason.startsWith(FOREIGN)),
  };
}

/** The last line of a test run. */
export function summary({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed.length} failed, ${skipped.length} skipped`;
}
