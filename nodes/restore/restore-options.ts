import { z } from 'zod';
import type { RestoreServer } from '../../lib/restore/targets.ts';
import { RESTORE_CONTENTS } from '../../lib/sources/server/restore-options.ts';
import type { NodeContext } from '../define-node.ts';
import { configNode } from '../forms/common-fields.ts';
import { MYSQL_SERVER, POSTGRES_SERVER } from '../services.ts';

/** Where a database goes, and what of it. */
export const restoreOptions = {
  database: z.string().min(1).optional().meta({ icon: 'fa-database', placeholder: 'shop' }),
  server: configNode(['dbackup-postgres-server', 'dbackup-mysql-server'], 'fa-server').optional(),
  target: z
    .string()
    .default('')
    .meta({ icon: 'fa-bullseye', control: 'path', placeholder: '/var/lib/shop/shop.sqlite' }),
  overwrite: z.enum(['refuse', 'replace']).default('refuse').meta({ icon: 'fa-exchange' }),
  safetyCopy: z.boolean().default(true).meta({ icon: 'fa-life-ring' }),
};

/** What only servers have. */
export const serverRestoreOptions = {
  content: z.enum(RESTORE_CONTENTS).default('all').meta({ icon: 'fa-filter', section: 'advanced' }),
  tables: z
    .array(z.string().min(1))
    .default([])
    .meta({ icon: 'fa-table', section: 'advanced', placeholder: 'public.orders' }),
  owners: z.boolean().default(true).meta({ icon: 'fa-user', section: 'advanced' }),
  privileges: z.boolean().default(true).meta({ icon: 'fa-unlock-alt', section: 'advanced' }),
  jobs: z.number().int().min(1).max(64).default(1).meta({ icon: 'fa-tasks', section: 'advanced' }),
  spoolDirectory: z
    .string()
    .trim()
    .default('')
    .meta({ icon: 'fa-folder-o', control: 'path', section: 'advanced', placeholder: '/var/tmp' }),
};

/**
 * The server that the chosen config node stands for, of whichever kind it is.
 * @throws BackupError `invalid-config` when it is missing or not set up
 */
export function restoreServer(
  context: Pick<NodeContext<unknown>, 'find' | 'use'>,
  id: string | undefined,
): RestoreServer | undefined {
  if (id === undefined) return undefined;
  const mysql = context.find(MYSQL_SERVER, id);
  if (mysql !== undefined) return { kind: 'mysql', server: mysql.server() };
  return { kind: 'postgres', server: context.use(POSTGRES_SERVER, id).server() };
}
