import { z } from 'zod';

/** `required`: every message is signed. `server`: only when the server asks for it. */
export const SMB_SIGNING = ['required', 'server'] as const;
/** `required`: nothing goes unencrypted. `desired`: encrypted where the server can. */
export const SMB_ENCRYPTION = ['required', 'desired', 'off'] as const;
export const SMB_PROTOCOLS = ['SMB3', 'SMB2'] as const;

/** Commands and files for smbclient end with the line: what would end them early is no part of a setting. */
const ONE_LINE = /^[^\r\n\0]*$/;
const oneLine = () => z.string().regex(ONE_LINE, 'it holds a line break');

/** Settings of a Windows share (SMB, CIFS), and of a folder in it. */
export const smbOptions = z
  .object({
    host: z
      .string()
      .trim()
      .min(1, 'the host is missing')
      .regex(/^[^\s/\\"%*]+$/, 'it is not the name or address of a host')
      .meta({ title: 'Host', description: 'Name or address of the file server' }),
    port: z.number().int().min(1).max(65_535).default(445).meta({ title: 'Port' }),
    share: z
      .string()
      .trim()
      .min(1, 'the share is missing')
      .max(80, 'names of shares have at most 80 characters')
      .regex(/^[^\p{Cc}/\\"%*?:<>|]+$/u, 'it is not the name of a share: write a folder in it as the folder')
      .meta({ title: 'Share', description: 'Name of the share, as in \\\\host\\share' }),
    root: oneLine().trim().default('').meta({
      title: 'Folder',
      description: 'Folder in the share that holds the backups; empty: the share itself',
    }),
    /** Off by default, as for a local folder: a mistyped one shows as missing then. */
    create: z.boolean().default(false).meta({
      title: 'Create the folder',
      description: 'Create the folder when it is missing',
    }),
    user: oneLine().trim().default('').meta({
      title: 'User',
      description: 'Empty: as a guest, where the server allows that',
    }),
    domain: oneLine().trim().default('').meta({
      title: 'Domain',
      description: 'Windows domain of the user; empty for an account of the server itself',
    }),
    password: oneLine()
      .max(127, 'smbclient takes at most 127 characters')
      .regex(/^(?![ \t])/, 'smbclient cannot take a password that begins with a blank')
      .optional()
      .meta({ title: 'Password' }),
    encryption: z.enum(SMB_ENCRYPTION).default('desired').meta({
      title: 'Encryption',
      description: 'Whether everything on the network is encrypted; it needs SMB 3',
    }),
    signing: z.enum(SMB_SIGNING).default('required').meta({
      title: 'Signing',
      description: 'Without signatures somebody between here and the server can change what is sent',
    }),
    protocol: z.enum(SMB_PROTOCOLS).default('SMB3').meta({
      title: 'Oldest protocol',
      description: 'SMB 2 is for old servers: it has no encryption',
    }),
    connections: z.number().int().min(2).max(16).default(4).meta({
      title: 'Connections',
      description: 'Most objects that are written at the same time',
    }),
    timeout: z.number().int().min(1).max(3600).default(60).meta({
      title: 'Timeout',
      description: 'How long the server may take to answer, or to take or give the next bytes',
      unit: 's',
    }),
    clientFolder: z.string().trim().default('').meta({
      title: 'Folder of smbclient',
      description: 'Empty: where the system has its programs',
      control: 'path',
    }),
  })
  .refine(({ user, password = '' }) => user !== '' || password === '', {
    path: ['user'],
    error: 'there is a password, but no user',
  })
  .refine(({ encryption, user }) => encryption !== 'required' || user !== '', {
    path: ['encryption'],
    error: 'guests have no key to encrypt with: set a user',
  });

export type SmbOptions = z.output<typeof smbOptions>;
/** What a caller gives: the fields with defaults may be left out. */
export type SmbOptionsInput = z.input<typeof smbOptions>;

/** Where the storage is, without secrets: `smb://files.example.com/backups/folder`. */
export function smbLocation({ host, port, share, root }: SmbOptions): string {
  const name = host.includes(':') ? `[${host}]` : host;
  const folders = [share, ...rootNames(root)].map((part) => `/${part}`).join('');
  return `smb://${name}${port === 445 ? '' : `:${port}`}${folders}`;
}

/** The folders of the storage's root, from the share on; either slash may part them. */
export function rootNames(root: string): string[] {
  return root.split(/[\\/]/).filter((name) => name !== '');
}
