import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeSet } from '../nodes/define-node.ts';

/** The root of the package. */
export const ROOT = join(import.meta.dirname, '..');

/** Languages that every text is there in. The first is the one that others fall back to. */
export const LANGUAGES = ['en-US', 'de'] as const;
export type Language = (typeof LANGUAGES)[number];

export const CATALOGUE_SETS: readonly NodeSet[] = [
  'config',
  'triggers',
  'sources',
  'transforms',
  'destinations',
  'restore',
  'retention',
  'notifiers',
  'operations',
];

/** A message catalogue: texts, in groups. */
export interface Catalogue {
  readonly [key: string]: string | Catalogue;
}

/** The catalogue of a node set: its own texts and those that all sets share. */
export function mergedCatalogue(language: Language, set: NodeSet): Catalogue {
  return { ...readCatalogue(language, 'common'), ...readCatalogue(language, set) };
}

export function readCatalogue(language: Language, name: NodeSet | 'common'): Catalogue {
  return JSON.parse(readFileSync(join(ROOT, `locales/${language}/${name}.json`), 'utf8')) as Catalogue;
}

/** What a part of a help stands in: `locales/<language>/destination-messages.html`. */
const INCLUDED = /<!-- include ([a-z-]+) -->\n/g;

/** The help of a node set as people wrote it, with the parts that several nodes share. */
export function readHelp(language: Language, set: NodeSet): string {
  const read = (name: string) => readFileSync(join(ROOT, `locales/${language}/${name}.html`), 'utf8');
  return read(set).replaceAll(INCLUDED, (_place, name: string) => read(name));
}

/**
 * A text of a catalogue.
 * @throws Error when it is missing, so that a build never ships a form without its labels
 */
export function textOf(catalogue: Catalogue, key: string): string {
  const text = findText(catalogue, key);
  if (text === undefined) throw new Error(`The message catalogue has no text ${key}`);
  return text;
}

export function findText(catalogue: Catalogue, key: string): string | undefined {
  let found: string | Catalogue | undefined = catalogue;
  for (const part of key.split('.')) found = typeof found === 'object' ? found[part] : undefined;
  return typeof found === 'string' ? found : undefined;
}
