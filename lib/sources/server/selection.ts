import { z } from 'zod';
import { BackupError } from '../../errors.ts';

/**
 * Which databases of a server: names and patterns (`*` any text, `?` one character), so that a new database
 * is picked up by the next run. A backslash makes the next character an ordinary one.
 */
export const selectionFields = {
  databases: z.array(z.string().min(1)).min(1).default(['*']),
  exclude: z.array(z.string().min(1)).default([]),
};

const shape = z.object(selectionFields);

export type Selection = z.output<typeof shape>;

/**
 * The databases that are meant, in the order of the server's list. One that is named without a pattern is
 * kept even when it does not exist, so that its dump fails instead of being left out quietly.
 * @param present every database of the server that may be dumped
 * @throws BackupError `invalid-config` for a pattern that ends with a lone backslash
 */
export function selectNames(present: readonly string[], { databases, exclude }: Selection): string[] {
  const wanted = databases.map(toPattern);
  const unwanted = exclude.map(toPattern);
  const isExcluded = (name: string) => unwanted.some(({ steps }) => matches(name, steps));
  const found = present.filter((name) => wanted.some(({ steps }) => matches(name, steps)));
  const named = wanted.flatMap(({ literal }) => literal ?? []);
  const missing = named.filter((name) => !present.includes(name));
  return [...new Set([...found, ...missing])].filter((name) => !isExcluded(name));
}

/** This character, any one character, or any text. */
type Step = { readonly character: string } | 'one' | 'many';

interface Pattern {
  readonly steps: readonly Step[];
  /** The one name that it means, when it has no wildcard. */
  readonly literal?: string;
}

function toPattern(text: string): Pattern {
  const steps: Step[] = [];
  let literal: string | undefined = '';
  const characters = [...text][Symbol.iterator]();
  for (let character of characters) {
    if (character === '*' || character === '?') {
      steps.push(character === '*' ? 'many' : 'one');
      literal = undefined;
      continue;
    }
    if (character === '\\') {
      const next = characters.next();
      if (next.done)
        throw new BackupError(
          'invalid-config',
          `The pattern ${text} ends with a backslash: write \\\\ for one`,
        );
      character = next.value;
    }
    steps.push({ character });
    if (literal !== undefined) literal += character;
  }
  return { steps, ...(literal === undefined ? {} : { literal }) };
}

/**
 * Whether a name is as a pattern says, from its beginning to its end. It takes at most as many looks as the product of both
 * lengths: patterns come from requests, too, and a regular expression with many wildcards may take years.
 */
function matches(name: string, steps: readonly Step[]): boolean {
  const characters = [...name];
  let [at, step] = [0, 0];
  /** The last `*`, and where what comes after it was tried. */
  let many: { readonly step: number; at: number } | undefined;
  while (at < characters.length) {
    const current = steps[step];
    if (current === 'many') {
      many = { step, at };
      step += 1;
    } else if (current === 'one' || (current !== undefined && current.character === characters[at])) {
      at += 1;
      step += 1;
    } else if (many !== undefined) {
      many.at += 1;
      at = many.at;
      step = many.step + 1;
    } else return false;
  }
  return steps.slice(step).every((left) => left === 'many');
}
