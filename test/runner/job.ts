import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FailedTest, ResultLine, SkippedTest, Tally } from './result.ts';

/** One mocha process over some test files. */
export interface Job {
  readonly name: string;
  readonly files: readonly string[];
}

export interface JobResult extends Tally {
  readonly job: Job;
  readonly seconds: number;
  /** What the process printed, for a job that failed. */
  readonly output: string;
}

/** A mocha process that hangs is killed after this time, in milliseconds. */
const LIMIT_MS = 20 * 60_000;
/** Hundreds of processes load the same modules: Node.js keeps them compiled, for those that they start as well. */
const COMPILED = { NODE_COMPILE_CACHE: join(import.meta.dirname, '../../node_modules/.cache/compiled') };
/** Of what a process printed, this much is kept, in characters. */
const KEPT_OUTPUT = 20_000;

/** Runs one job; its failures are in the result, whatever they are. */
export async function runJob(job: Job, resultsFile: string, running: Set<ChildProcess>): Promise<JobResult> {
  const started = performance.now();
  const child = spawn(
    process.execPath,
    [
      // A thread that compiles can keep a process from ending: runner/end-process.ts.
      '--no-concurrent-sparkplug',
      join('node_modules', 'mocha', 'bin', 'mocha.js'),
      '--reporter',
      './test/runner/reporter.ts',
      ...job.files,
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...COMPILED, DBACKUP_TEST_RESULTS: resultsFile },
    },
  );
  running.add(child);
  let output = '';
  const keep = (text: Buffer) => {
    output = (output + text.toString()).slice(-KEPT_OUTPUT);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  clearTimeout(limit);
  running.delete(child);
  const tally = await readTally(job, resultsFile, signal ?? `exit code ${code}`);
  return { job, ...tally, seconds: (performance.now() - started) / 1000, output };
}

async function readTally(job: Job, resultsFile: string, ending: string): Promise<Tally> {
  const text = await readFile(resultsFile, 'utf8').catch(() => '');
  const lines = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ResultLine);
  const failed: FailedTest[] = lines.filter((line) => line.type === 'failed');
  const skipped: SkippedTest[] = lines.filter((line) => line.type === 'skipped');
  const passed = lines.filter((line) => line.type === 'passed').length;
  const ended = lines.some((line) => line.type === 'end');
  if (!ended)
    failed.push({
      title: job.name,
      error: `The test process ended by itself before its tests did (${ending})`,
    });
  else if (passed + failed.length + skipped.length === 0) {
    failed.push({ title: job.name, error: 'Not a single test was executed' });
  } else if (failed.length === 0 && ending !== 'exit code 0') {
    failed.push({ title: job.name, error: `Its tests passed, but the test process failed (${ending})` });
  }
  return { passed, failed, skipped };
}
