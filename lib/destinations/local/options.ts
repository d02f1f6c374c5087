import { isAbsolute, parse, resolve } from 'node:path';
import { z } from 'zod';

/** Settings of a folder on a disk of this host. */
export const localOptions = z.object({
  root: z
    .string()
    .min(1, 'the folder is missing')
    .refine((path) => !path.includes('\0'), 'the folder holds a NUL character')
    .refine((path) => isAbsolute(path), 'the folder must be an absolute path')
    .refine((path) => resolve(path) !== parse(path).root, 'the root of the file system cannot be a storage')
    .meta({
      title: 'Folder',
      description: 'Absolute path of the folder that holds the backups',
      control: 'path',
    }),
  /**
   * Off by default: a disk that is not plugged in often shows as a missing folder, and creating it would
   * fill the system disk instead.
   */
  create: z.boolean().default(false).meta({
    title: 'Create the folder',
    description: 'Create the folder when it is missing. Leave off for removable and network disks',
  }),
  /** An empty mount point is an ordinary folder of the disk below: only the mount table tells. */
  mountPoint: z.boolean().default(false).meta({
    title: 'Is a mount point',
    description: 'Refuse to work while no disk is mounted on this folder',
  }),
  reserveMiB: z.number().int().nonnegative().default(64).meta({
    title: 'Keep free',
    description: 'Space that backups leave free on the disk; small files such as manifests may use it',
    unit: 'MiB',
  }),
});

export type LocalOptions = z.infer<typeof localOptions>;
/** What a caller gives: the fields with defaults may be left out. */
export type LocalOptionsInput = z.input<typeof localOptions>;
