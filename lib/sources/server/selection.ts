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
  const isExcluded = (name: string) => unwanted.some(({ expression }) => expression.test(name));
  const found = present.filter((name) => wanted.some(({ expression }) => expression.test(name)));
  const named = wanted.flatMap(({ literal }) => literal ?? []);
  const missing = named.filter((name) => !present.includes(name));
  return [...new Set([...found, ...missing])].filter((name) => !isExcluded(name));
}

interface Pattern {
  readonly expression: RegExp;
  /** The one name that it means, when it has no wildcard. */
  readonly literal?: string;
}

function toPattern(text: string): Pattern {
  let source = '';
  let literal: string | undefined = '';
  for (let at = 0; at < text.length; at++) {
    let character = text.charAt(at);
    if (character === '*' || character === '?') {
      source += character === '*' ? '[^]*' : '[^]';
      literal = undefined;
      continue;
    }
    if (character === '\\') {
      at += 1;
      character = text.charAt(at);
      if (character === '')
        throw new BackupError(
          'invalid-config',
          `The pattern ${text} ends with a backslash: write \\\\ for one`,
        );
    }
    source += character.replace(/[$()*+./?[\\\]^{|}]/, '\\$&');
    if (literal !== undefined) literal += character;
  }
  return { expression: new RegExp(`^${source}$`, 'u'), ...(literal === undefined ? {} : { literal }) };
}
