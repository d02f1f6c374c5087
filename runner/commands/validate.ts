import type { FlowProblem } from '../../lib/plan/flow-problem.ts';
import type { CommandBody } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { type FlowOptions, readFlow, userDirectory } from '../flow-input.ts';
import { validateFlow } from '../flow-validation.ts';
import { printable } from '../format.ts';

export interface ValidateInput extends FlowOptions {
  readonly flow: string;
  readonly json?: boolean;
}

/** Lists every problem of a flow at once. Warnings alone do not fail it. */
export const validate: CommandBody<ValidateInput> = async (input, { output, env }) => {
  const flow = await readFlow(input.flow, input, env);
  const problems = await validateFlow(flow, { userDir: userDirectory(input), env });
  const errors = problems.filter(({ severity }) => severity === 'error').length;
  if (input.json) {
    output.json({ flow: flow.file, valid: errors === 0, problems });
  } else {
    for (const problem of problems) output.print(problemLine(problem));
    output.print(verdict(flow.file, errors, problems.length - errors));
  }
  return errors === 0 ? EXIT.ok : EXIT.usage;
};

function problemLine({ severity, message }: FlowProblem): string {
  return printable(`${severity.padEnd(7)}  ${message}`);
}

function verdict(file: string, errors: number, warnings: number): string {
  const noted = warnings === 0 ? '' : ` (${counted(warnings, 'warning')})`;
  return errors === 0
    ? `${file} is valid${noted}`
    : `${file} is not valid: ${counted(errors, 'error')}${noted}`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
