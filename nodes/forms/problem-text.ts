import type { Problem } from './rules.ts';

/** A problem in plain English, to follow the name of the field: `must be at least 1`. */
export function problemText(problem: Problem): string {
  const text = sentence(problem);
  return problem.entry === undefined ? text : `entry ${problem.entry} ${text}`;
}

function sentence({ code, limit }: Problem): string {
  switch (code) {
    case 'required':
      return 'is missing';
    case 'number':
      return 'must be a number';
    case 'integer':
      return 'must be a whole number';
    case 'boolean':
      return 'must be true or false';
    case 'list':
      return 'must be a list';
    case 'text':
      return 'must be a text';
    case 'option':
      return `must be one of ${limit}`;
    case 'pattern':
      return `does not have the form ${limit}`;
    case 'short':
      return `must have at least ${limit} characters`;
    case 'long':
      return `must have at most ${limit} characters`;
    case 'min':
      return `must be at least ${limit}`;
    case 'above':
      return `must be more than ${limit}`;
    case 'max':
      return `must be at most ${limit}`;
    case 'fewer':
      return `must have at least ${limit} entries`;
    case 'more':
      return `must have at most ${limit} entries`;
    case 'reference':
      return 'refers to a node that is missing or not set up';
    case 'secret':
      return 'needs a secret that is missing';
    case 'unresolved':
      return `holds \${${limit}}, which was not replaced: set the environment variable ${limit}, and let \${${limit}} be the whole value`;
  }
}
