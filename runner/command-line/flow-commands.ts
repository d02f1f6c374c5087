import type { Command } from 'commander';
import {
  FLOW_HELP,
  jsonOption,
  portNumber,
  type Runner,
  withCredentials,
  withReport,
  withStore,
} from './options.ts';

export function addFlowCommands(program: Command, run: Runner): void {
  withStore(withReport(withCredentials(program.command('run'))))
    .description('run the backup of a flow once')
    .argument('<flow>', FLOW_HELP)
    .option(
      '--trigger <name>',
      'name or id of the inject or schedule node to fire, when several lead to a source',
    )
    .option('--deadline <time>', 'longest time for all of it: 90s, 30m, 6h')
    .action(async (flow, options) => run((await import('../commands/run.ts')).run, { flow, ...options }));
  withStore(withReport(withCredentials(program.command('serve'))))
    .description('keep a flow running: schedules, and HTTP In nodes as webhooks')
    .argument('<flow>', FLOW_HELP)
    .option('--host <address>', 'address that HTTP In nodes are served at', '127.0.0.1')
    .option('--port <number>', 'port that HTTP In nodes are served at', portNumber, 1880)
    .option(
      '--drain <time>',
      'when told to stop, let running backups come to their end: the process ends within 90s, 10m, 6h',
    )
    .action(async (flow, options) => run((await import('../commands/serve.ts')).serve, { flow, ...options }));
  withCredentials(program.command('validate'))
    .description('list every problem of a flow, without running it')
    .argument('<flow>', FLOW_HELP)
    .addOption(jsonOption())
    .action(async (flow, options) =>
      run((await import('../commands/validate.ts')).validate, { flow, ...options }),
    );
}

export function addNotifyCommands(program: Command, run: Runner): void {
  const notify = program.command('notify').description('notifiers of a flow');
  withCredentials(notify.command('test'))
    .description('send a test message through a notifier')
    .requiredOption('--flow <file>', 'flow file with the notifier')
    .option('--node <name>', 'name or id of the notifier; not needed when the flow has one only')
    .addOption(jsonOption())
    .action(async (options) => run((await import('../commands/notify.ts')).notifyTest, options));
}
