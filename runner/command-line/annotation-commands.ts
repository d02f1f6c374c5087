import type { Command } from 'commander';
import { jobOption, jsonOption, type Runner, SET_HELP, withStorage } from './options.ts';

export function addAnnotationCommands(program: Command, run: Runner): void {
  withAnnotation(program.command('tag'))
    .description('add tags to a backup set')
    .argument('<set>', SET_HELP)
    .argument('<tags...>', 'words without blanks')
    .option('--remove', 'take them away')
    .action(async (set, tags, options) =>
      run((await import('../commands/annotate.ts')).tag, { set, tags, ...options }),
    );
  withAnnotation(program.command('note'))
    .description('write a note about a backup set')
    .argument('<set>', SET_HELP)
    .argument('<text>', 'the note; "" for none')
    .action(async (set, text, options) =>
      run((await import('../commands/annotate.ts')).note, { set, text, ...options }),
    );
  withAnnotation(program.command('pin'))
    .description('keep a backup set: retention never removes it')
    .argument('<set>', SET_HELP)
    .action(async (set, options) => run((await import('../commands/annotate.ts')).pin, { set, ...options }));
  withAnnotation(program.command('unpin'))
    .description('let retention decide about a backup set again')
    .argument('<set>', SET_HELP)
    .action(async (set, options) =>
      run((await import('../commands/annotate.ts')).unpin, { set, ...options }),
    );
}

function withAnnotation(command: Command): Command {
  return withStorage(command)
    .addOption(jobOption())
    .option('--replace-damaged', 'begin anew where the annotations cannot be read')
    .addOption(jsonOption());
}
