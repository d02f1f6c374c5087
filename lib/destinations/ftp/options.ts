import { z } from 'zod';

/**
 * `explicit-tls`: the connection is encrypted by AUTH TLS before the password is sent (RFC 4217).
 * `implicit-tls`: encrypted from the first byte, mostly on port 990. `plain`: nothing is encrypted.
 */
export const FTP_SECURITY = ['explicit-tls', 'implicit-tls', 'plain'] as const;

/** A command of FTP ends with the line: what would end it early is no part of a setting. */
const ONE_LINE = /^[^\r\n\0]*$/;
const oneLine = () => z.string().regex(ONE_LINE, 'it holds a line break');

/** Settings of an FTP server, and of a folder there. */
export const ftpOptions = z.object({
  host: z.string().trim().min(1, 'the host is missing').meta({
    title: 'Host',
    description: 'Name or address of the FTP server',
  }),
  port: z.number().int().min(1).max(65_535).optional().meta({
    title: 'Port',
    description: 'Empty: 21, or 990 with implicit TLS',
  }),
  security: z.enum(FTP_SECURITY).default('explicit-tls').meta({
    title: 'Encryption',
    description: 'Without TLS the password and the backups cross the network readable by others',
  }),
  caFile: z.string().trim().default('').meta({
    title: 'CA file',
    description: 'PEM file of the authority that signed the certificate of the server. Empty: the usual ones',
    control: 'path',
  }),
  verifyCertificate: z.boolean().default(true).meta({
    title: 'Check the certificate',
    description: 'Without this check somebody between here and the server can pose as the server',
  }),
  user: oneLine().default('anonymous').meta({ title: 'User' }),
  password: oneLine().optional().meta({ title: 'Password' }),
  root: oneLine().trim().default('').meta({
    title: 'Folder',
    description: 'Folder that holds the backups; without a slash at its beginning below the login folder',
  }),
  /** Off by default, as for a local folder: a mistyped one shows as missing then. */
  create: z.boolean().default(false).meta({
    title: 'Create the folder',
    description: 'Create the folder when it is missing',
  }),
  connections: z.number().int().min(2).max(16).default(4).meta({
    title: 'Connections',
    description: 'Most connections at the same time; servers often limit them for each user',
  }),
  timeout: z.number().int().min(1).max(3600).default(60).meta({
    title: 'Timeout',
    description: 'How long the server may take to answer, or to take or give the next bytes',
    unit: 's',
  }),
});

export type FtpOptions = z.output<typeof ftpOptions>;
/** What a caller gives: the fields with defaults may be left out. */
export type FtpOptionsInput = z.input<typeof ftpOptions>;

/** The port that is meant when none is given. */
export function ftpPort(options: FtpOptions): number {
  return options.port ?? (options.security === 'implicit-tls' ? 990 : 21);
}

/** Where the storage is, without secrets: `ftps://backup.example.com:21/folder`. */
export function ftpLocation(options: FtpOptions): string {
  const scheme = options.security === 'plain' ? 'ftp' : 'ftps';
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  const folder = options.root.replace(/^\/+|\/+$/g, '');
  return `${scheme}://${host}:${ftpPort(options)}${folder === '' ? '' : `/${folder}`}`;
}
