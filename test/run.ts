import { type ChildProcess, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { jobsFor } from './runner/discover.ts';
import { type Job, type JobResult, runJob } from './runner/job.ts';
import { sum, summary, type Tally, withoutSkips } from './runner/result.ts';

/*
 * `npm test [-- suite or file …]`: runs the test suites in mocha processes of their own, one more at a time than the
 * machine has processors, since they wait a lot (DBACKUP_TEST_JOBS), and ends with the line
 * `N passed, N failed, N skipped`. With DBACKUP_TEST_NO_SKIP=1 a skipped test is a failed one.
 */

/** Tests of the product as it is shipped: they run what is in `dist/`. */
const USES_BUILD = /e2e|faults[\\/]runner-/;

/** Tests that what runs beside them can disturb. */
const SHARES_MACHINE = /conformance|integration|faults|e2e/;

const workers = Math.max(1, Number(process.env.DBACKUP_TEST_JOBS ?? availableParallelism() + 1));
process.chdir(join(import.meta.dirname, '..'));
const running = new Set<ChildProcess>();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    for (const child of running) child.kill(signal);
    process.exit(1);
  });
}

const jobs = jobsFor(process.argv.slice(2));
if (jobs.some(({ name }) => USES_BUILD.test(name))) build();
const total = report(await runTwiceIfNeeded(jobs));
process.exitCode = total.failed.length === 0 ? 0 : 1;
console.log(summary(total));

/** Built once here, since two builds at a time would collide. */
function build(): void {
  const { status } = spawnSync(process.execPath, ['build/build.ts'], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status === 0) return;
  console.error('The build failed, so that the tests of what is shipped cannot run.');
  console.log(
    summary({ passed: 0, failed: [{ title: 'build', error: `exit code ${status}` }], skipped: [] }),
  );
  process.exit(1);
}

/**
 * Browsers, servers and whole processes share the machine with the tests beside them. A file that fails is run
 * again with nothing beside it, and named as unstable should it pass then. Unit tests must pass at once.
 */
async function runTwiceIfNeeded(all: readonly Job[]): Promise<JobResult[]> {
  const isRunAgain = ({ job, failed }: JobResult) => failed.length > 0 && SHARES_MACHINE.test(job.name);
  const first = await runAll(all, workers, (result) => printProgress(result, isRunAgain(result)));
  const again = first.filter(isRunAgain);
  if (again.length === 0) return first;
  const second = await runAll(
    again.map(({ job }) => job),
    1,
    (result) => printProgress(result, false),
  );
  for (const { job, failed } of second)
    if (failed.length === 0) console.log(`\nUNSTABLE ${job.name}: passed when run alone`);
  return [...first.filter((result) => !again.includes(result)), ...second];
}

async function runAll(
  all: readonly Job[],
  atOnce: number,
  print: (result: JobResult) => void,
): Promise<JobResult[]> {
  const folder = await mkdtemp(join(tmpdir(), 'dbackup-test-results-'));
  const results: JobResult[] = [];
  const queue = all.entries();
  const worker = async () => {
    for (const [index, job] of queue) {
      const result = await runJob(job, join(folder, `${index}.jsonl`), running);
      results.push(result);
      print(result);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  await rm(folder, { recursive: true, force: true });
  return results;
}

function printProgress(result: JobResult, isRunAgain: boolean): void {
  const { job, passed, failed, skipped, seconds, output } = result;
  const mark = failed.length === 0 ? 'ok   ' : isRunAgain ? 'AGAIN' : 'FAIL ';
  console.log(
    `${mark} ${job.name}: ${passed} passed, ${failed.length} failed, ${skipped.length} skipped (${seconds.toFixed(1)} s)`,
  );
  // At once: a run that is cut off has no report.
  for (const { title, error } of failed) console.log(`  ${title}\n${error}`);
  if (failed.length > 0 && output.trim() !== '') console.log(`---- its output\n${output.trimEnd()}\n----`);
}

function report(results: readonly JobResult[]): Tally {
  const outcome = sum(results);
  const total = process.env.DBACKUP_TEST_NO_SKIP === '1' ? withoutSkips(outcome) : outcome;
  for (const { title, error } of total.failed) console.log(`\nFAILED ${title}\n${error}`);
  for (const { title, reason } of total.skipped) console.log(`\nSKIPPED ${title}\n  because: ${reason}`);
  console.log('');
  return total;
}
