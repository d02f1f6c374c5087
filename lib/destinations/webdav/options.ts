import { z } from 'zod';
import { BackupError } from '../../errors.ts';
import { parseStorageOptions } from '../storage-options.ts';

/** `basic`: user and password with each request. `digest`: a proof of the password. `bearer`: a token. */
export const WEBDAV_AUTH = ['basic', 'digest', 'bearer', 'none'] as const;

const MIB = 1024 * 1024;

/** Settings of a folder on a WebDAV server. */
export const webdavOptions = z.object({
  url: z
    .string()
    .trim()
    .refine((url) => isHttp(url), 'it must be a URL that begins with https:// or http://')
    .refine(
      (url) => !isHttp(url) || !hasCredentials(url),
      'it holds a user or password: set them on their own',
    )
    .refine((url) => !isHttp(url) || /^[^?#]*$/.test(url), 'it holds ? or #: write them as %3F and %23')
    .meta({
      title: 'URL',
      description:
        'URL of the folder that holds the backups; of a Nextcloud: https://…/remote.php/dav/files/USER/folder',
    }),
  auth: z.enum(WEBDAV_AUTH).default('basic').meta({
    title: 'Sign in',
    description: 'Basic sends the password with each request: use https with it',
  }),
  user: z.string().default('').meta({ title: 'User' }),
  password: z.string().optional().meta({
    title: 'Password',
    description: 'Of a Nextcloud: an app password',
  }),
  token: z.string().optional().meta({ title: 'Token', description: 'For sign-in by bearer token' }),
  caFile: z.string().trim().default('').meta({
    title: 'CA file',
    description: 'PEM file of the authority that signed the certificate of the server. Empty: the usual ones',
    control: 'path',
  }),
  verifyCertificate: z.boolean().default(true).meta({
    title: 'Check the certificate',
    description: 'Without this check somebody between here and the server can pose as the server',
  }),
  create: z.boolean().default(false).meta({
    title: 'Create the folder',
    description: 'Create the folder when it is missing',
  }),
  connections: z.number().int().min(1).max(16).default(4).meta({
    title: 'Uploads at once',
    description: 'Most objects that are written at the same time',
  }),
  timeout: z.number().int().min(1).max(3600).default(60).meta({
    title: 'Timeout',
    description: 'How long the server may take to answer, or to take or give the next bytes',
    unit: 's',
  }),
  /** The protocol allows 5 MB to 5 GB; a chunk is held in memory, so that it can be sent again. */
  chunkMiB: z.number().int().min(5).max(1024).default(16).meta({
    title: 'Size of chunks',
    description: 'For Nextcloud and ownCloud, which take large objects in chunks; each is held in memory',
    unit: 'MiB',
  }),
});

export type WebdavOptions = z.output<typeof webdavOptions>;
/** What a caller gives: the fields with defaults may be left out. */
export type WebdavOptionsInput = z.input<typeof webdavOptions>;

/** Parses and checks what depends on each other. @throws BackupError `invalid-config` */
export function parseWebdavOptions(input: WebdavOptionsInput): WebdavOptions {
  const options = parseStorageOptions(webdavOptions, input, 'WebDAV');
  const { auth, user, token } = options;
  if ((auth === 'basic' || auth === 'digest') && user === '') {
    throw new BackupError('invalid-config', `The WebDAV storage is not valid: ${auth} sign-in needs a user`);
  }
  if (auth === 'bearer' && (token ?? '') === '') {
    throw new BackupError('invalid-config', 'The WebDAV storage is not valid: bearer sign-in needs a token');
  }
  return options;
}

/** Size of the chunk with that number, from 1, in bytes: grows so that 10 000 of them, which is the most, reach far. */
export function chunkBytes(options: WebdavOptions, number: number): number {
  return options.chunkMiB * MIB * (1 + Math.floor((number - 1) / 1000));
}

function isHttp(url: string): boolean {
  return /^https?:\/\//i.test(url) && URL.canParse(url);
}

function hasCredentials(url: string): boolean {
  const { username, password } = new URL(url);
  return username !== '' || password !== '';
}
