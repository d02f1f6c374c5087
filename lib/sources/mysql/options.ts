import { z } from 'zod';
import { selectionFields } from '../server/selection.ts';
import { type ServerAccess, serverFields } from '../server/server.ts';

/** The settings of a MySQL or MariaDB server, version 1. */
export const mysqlServer = z.object({
  ...serverFields,
  port: z.number().int().min(1).max(65_535).default(3306),
});

export type MysqlServer = z.output<typeof mysqlServer> & ServerAccess;

/** What a MySQL or MariaDB source dumps of its server, version 1. */
export const mysqlSource = z.object({
  ...selectionFields,
  /**
   * `auto`: one snapshot without locks; tables of engines without transactions are dumped all the same, with
   * a warning. `lock`: all tables of the database are locked for reading while it is dumped.
   */
  consistency: z.enum(['auto', 'lock']).default('auto'),
  /** Users and their grants as an artifact of their own, when the user may read them. */
  users: z.boolean().default(true),
  /** Keep the position in the binary log in the manifest; needs the privilege to read it. */
  binlogPosition: z.boolean().default(false),
  /** Count the rows of each table and keep the numbers in the manifest, for later verification. */
  countRows: z.boolean().default(true),
  /** How long the dump waits for a lock, in seconds. */
  lockTimeout: z.number().int().min(1).max(86_400).default(60),
});

export type MysqlSource = z.output<typeof mysqlSource>;
