import { z } from 'zod';
import { selectionFields } from '../../lib/sources/server/selection.ts';

/** A name or pattern: a backslash has a character after it. */
const namePattern = z.string().min(1).meta({ pattern: String.raw`^(?:[^\\]|\\.)+$` });

/** How a source of a server says which databases are meant: the fields of `selectionFields`, with rows. */
export const selection = {
  databases: z
    .array(namePattern)
    .min(1)
    .default(selectionFields.databases.parse(undefined))
    .meta({ icon: 'fa-database', placeholder: 'shop' }),
  exclude: z.array(namePattern).default([]).meta({ icon: 'fa-ban', placeholder: 'test_*' }),
};

/** The button that lists what there is to choose from. */
export const listButton = {
  name: 'databases',
  route: 'sources/databases',
  icon: 'fa-list',
  standIns: { job: 'any', databases: ['*'] },
  adds: 'databases',
} as const;
