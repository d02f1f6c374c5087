import { z } from 'zod';
import { selectionFields } from '../server/selection.ts';
import { type ServerAccess, serverFields } from '../server/server.ts';

/** The settings of a PostgreSQL server, version 1. */
export const postgresServer = z.object({
  ...serverFields,
  port: z.number().int().min(1).max(65_535).default(5432),
  /** The database to connect to when none is meant, as for the list of databases. */
  maintenanceDatabase: z.string().min(1).default('postgres'),
});

export type PostgresServer = z.output<typeof postgresServer> & ServerAccess;

/** `custom`: `-Fc -Z0`. `plain`: a SQL script. `tar`: the directory format as one tar file. */
export const POSTGRES_FORMATS = ['custom', 'plain', 'tar'] as const;

/** What a PostgreSQL source dumps of its server, version 1. */
export const postgresSource = z.object({
  ...selectionFields,
  format: z.enum(POSTGRES_FORMATS).default('custom'),
  /** Roles and tablespaces as an artifact of their own. */
  globals: z.boolean().default(true),
  /** Count the rows of each table and keep the numbers in the manifest, for later verification. */
  countRows: z.boolean().default(true),
  /** How long the dump waits for a table that somebody has locked, in seconds; 0: for ever. */
  lockTimeout: z.number().int().min(0).max(86_400).default(60),
  /** Longest time of a single statement of the dump, in seconds; 0: no limit. */
  statementTimeout: z.number().int().min(0).max(604_800).default(0),
});

export type PostgresSource = z.output<typeof postgresSource>;
