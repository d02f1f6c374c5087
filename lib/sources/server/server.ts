import { z } from 'zod';
import type { SshOptions } from '../../ssh/options.ts';
import { tlsFields } from './tls.ts';

/** Where a database server listens and how to sign in: what every kind of server has. */
export const serverFields = {
  /** A host name or address, or the absolute path of a Unix socket (PostgreSQL: of its folder). */
  host: z.string().trim().min(1).default('127.0.0.1'),
  user: z.string().min(1),
  password: z.string().optional(),
  ...tlsFields,
  /** Folder of the database's own tools; empty: looked for on the machine. */
  toolsFolder: z.string().trim().default(''),
  /** How many databases of this server are dumped at a time, over all runs of this process. */
  concurrency: z.number().int().min(1).max(64).default(1),
  /** How long connecting may take, in seconds. */
  connectTimeout: z.number().int().min(1).max(3600).default(15),
};

/** What is not a plain setting: the bastion that leads to the server. */
export interface ServerAccess {
  readonly tunnel?: SshOptions;
}
