import { z } from 'zod';
import { BackupError } from '../../errors.ts';

/** The settings of a SQLite source, version 1. `meta` describes the form field of each. */
export const sqliteOptions = z.object({
  files: z.array(z.string().trim().min(1)).min(1).meta({
    title: 'Database files',
    description:
      'Paths of the database files, or patterns such as /data/*.db and /data/**/*.sqlite. Each file becomes its own artifact; -wal, -shm and -journal files are left out by themselves.',
    control: 'list',
  }),
  method: z.enum(['auto', 'backup']).default('auto').meta({
    title: 'Method',
    description:
      "auto: a database in WAL mode is streamed straight from its files, any other one is copied to the spool folder first. backup: always copy with SQLite's online backup interface, which is slower.",
    control: 'select',
  }),
  spoolDirectory: z.string().trim().default('').meta({
    title: 'Spool folder',
    description:
      "Folder for the temporary copy of a database that is not in WAL mode, which is as large as the database. Empty: the system's folder for temporary files.",
    control: 'text',
  }),
  pagesPerStep: z.number().int().min(1).max(1_000_000).default(4096).meta({
    title: 'Pages per step',
    description:
      'How much of a database that is not in WAL mode is copied before its writers get their turn. Smaller steps let them wait less.',
    control: 'number',
    unit: 'pages',
  }),
  busyTimeout: z.number().int().min(0).max(3600).default(10).meta({
    title: 'Wait for locks',
    description: 'How long to wait for a program that holds the database locked before its backup fails.',
    control: 'number',
    unit: 's',
  }),
  walGrowthLimit: z.number().int().min(1).max(1_048_576).default(64).meta({
    title: 'Write-ahead log growth',
    description:
      'How far the write-ahead log may grow while the database is streamed. Beyond it the rest is copied to the spool folder, so that the log can be reused.',
    control: 'number',
    unit: 'MiB',
  }),
  countRows: z.boolean().default(true).meta({
    title: 'Count rows',
    description: 'Count the rows of each table and keep the numbers in the manifest, for later verification.',
    control: 'checkbox',
  }),
});

export type SqliteOptions = z.output<typeof sqliteOptions>;

/**
 * Validates settings and fills in the defaults.
 * @throws BackupError `invalid-config` that names each wrong field
 */
export function readSqliteOptions(options: z.input<typeof sqliteOptions>): SqliteOptions {
  const parsed = sqliteOptions.safeParse(options);
  if (parsed.success) return parsed.data;
  throw new BackupError(
    'invalid-config',
    `The settings of the SQLite source are wrong: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`,
  );
}
