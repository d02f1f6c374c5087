import { appendFileSync, openSync } from 'node:fs';
import { skipReason } from '../support/skip.ts';
import type { ResultLine } from './result.ts';

/**
 * The mocha reporter of `npm test`: one JSON line for each result, appended synchronously to the file
 * that DBACKUP_TEST_RESULTS names, so that a process which dies still tells how far it came.
 */
export default class JsonLinesReporter {
  constructor(runner: Mocha.Runner) {
    const record = recorder();
    runner.on('pass', (test) => record({ type: 'passed', title: titleOf(test) }));
    runner.on('pending', (test) => {
      const title = titleOf(test);
      const reason = skipReason(test);
      if (reason !== undefined) record({ type: 'skipped', title, reason });
      else record({ type: 'failed', title, error: 'It was skipped without a reason: call skipBecause' });
    });
    runner.on('fail', (test, error: unknown) =>
      record({ type: 'failed', title: titleOf(test), error: describe(error) }),
    );
    runner.once('end', () => record({ type: 'end' }));
  }
}

function titleOf(test: Mocha.Runnable): string {
  return test.titlePath().join(' › ');
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `\nCaused by: ${describe(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}

/** Opens the file at once: a test may give up the right to open it. */
function recorder(): (line: ResultLine) => void {
  const file = process.env.DBACKUP_TEST_RESULTS;
  if (file === undefined)
    throw new Error('DBACKUP_TEST_RESULTS is not set: this reporter belongs to test/run.ts');
  const results = openSync(file, 'a');
  return (line) => appendFileSync(results, `${JSON.stringify(line)}\n`);
}
