import { type Command, Option } from 'commander';
import { JOB_STATES } from '../../lib/runs/job-states.ts';
import {
  JOB_HELP,
  jobOption,
  jsonOption,
  positiveInteger,
  type Runner,
  runStates,
  withData,
  withStore,
} from './options.ts';

export function addHistoryCommands(program: Command, run: Runner): void {
  withStore(withData(program.command('runs')))
    .description('list the history of runs, or show one of them')
    .argument('[run]', 'id of a run: all that is known of it')
    .addOption(jobOption())
    .option('--state <state>', 'only runs in this state, may be given several times', runStates)
    .option('--since <time>', 'only runs that were opened since: 24h, 7d, 2026-01-31')
    .option('--limit <count>', 'newest so many', positiveInteger, 20)
    .addOption(jsonOption())
    .action(async (id, options) => run((await import('../commands/runs.ts')).runs, { run: id, ...options }));
  withStore(withData(program.command('logs')))
    .description('show what a run did, line by line')
    .argument('<run>', 'id of the run as runs shows it, or "latest"')
    .option('--job <name>', 'with "latest": of this job')
    .addOption(
      new Option('--level <level>', 'the least level')
        .choices(['debug', 'info', 'warn', 'error'])
        .default('info'),
    )
    .option('--follow', 'wait for more until the run has ended')
    .addOption(new Option('--json', 'one JSON object per line'))
    .action(async (id, options) => run((await import('../commands/logs.ts')).logs, { run: id, ...options }));
}

export function addRunCommands(program: Command, run: Runner): void {
  withStore(withData(program.command('queue')))
    .description('list the runs that wait and go on')
    .addOption(jsonOption())
    .action(async (options) => run((await import('../commands/queue.ts')).queue, options));
  withStore(withData(program.command('cancel')))
    .description('end a run that waits or goes on, also one of another process')
    .argument('<run>', 'id of the run, as queue shows it')
    .option('--reason <text>', 'why; it stands in the history')
    .option('--no-wait', 'do not wait until the run has ended')
    .addOption(jsonOption())
    .action(async (id, options) =>
      run((await import('../commands/cancel.ts')).cancel, { run: id, ...options }),
    );
}

export function addJobCommands(program: Command, run: Runner): void {
  const jobs = program.command('jobs').description('jobs: how they stand, and what brings dead letters back');
  withStore(withData(jobs.command('list', { isDefault: true })))
    .description('list the jobs that have run (what "jobs" alone does)')
    .addOption(new Option('--state <state>', 'only jobs in this state').choices(JOB_STATES))
    .addOption(jsonOption())
    .action(async (options) => run((await import('../commands/jobs.ts')).listJobs, options));
  withStore(withData(jobs.command('show')))
    .description('show a job with the history of its errors')
    .argument('<job>', JOB_HELP)
    .option('--limit <count>', 'newest so many errors', positiveInteger, 20)
    .addOption(jsonOption())
    .action(async (job, options) => run((await import('../commands/jobs.ts')).showJob, { job, ...options }));
  withStore(withData(jobs.command('requeue')))
    .description('put a dead-lettered job back: its schedules begin it again')
    .argument('<job>', JOB_HELP)
    .addOption(jsonOption())
    .action(async (job, options) =>
      run((await import('../commands/jobs.ts')).requeueJob, { job, ...options }),
    );
  withStore(withData(jobs.command('discard')))
    .description('forget a job that is not run any more; the history of its runs stays')
    .argument('<job>', JOB_HELP)
    .addOption(jsonOption())
    .action(async (job, options) =>
      run((await import('../commands/jobs.ts')).discardJob, { job, ...options }),
    );
}
