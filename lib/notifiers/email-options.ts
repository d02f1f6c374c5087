import { z } from 'zod';
import { templateOptions } from './templates.ts';

/** One address: `backup@example.com` or `Backups <backup@example.com>`. No line ends, which would begin a header. */
const ADDRESS = /^(?:[^<>@,;\p{Cc}]+ )?<?[^\s<>@,;\p{Cc}]+@[^\s<>@,;\p{Cc}]+>?$/u;

const address = z
  .string()
  .max(320)
  .regex(ADDRESS, 'is a mail address, such as backup@example.com or Backups <backup@example.com>');

const connection = {
  host: z.string().min(1).max(255).meta({ title: 'Host', description: 'Name or address of the SMTP server' }),
  caFile: z.string().max(1000).default('').meta({
    title: 'CA file',
    description: 'File with certificates of authorities to trust, beside those that the host trusts',
  }),
};

const signIn = {
  user: z.string().max(320).default('').meta({
    title: 'User',
    description: 'Empty for a server that asks for none',
  }),
  password: z.string().optional().meta({ title: 'Password', description: 'Of the user' }),
};

const letter = {
  from: address.meta({ title: 'From', description: 'Address of the sender' }),
  to: z.array(address).min(1).max(50).meta({ title: 'To', description: 'Addresses of the recipients' }),
  subjectPrefix: z.string().max(60).default('[DBackup]').meta({
    title: 'Subject begins with',
    description: 'So that mail rules find it',
  }),
  ...templateOptions.shape,
};

function portField(usual: number) {
  return z.number().int().min(1).max(65_535).default(usual).meta({ title: 'Port', description: 'TCP port' });
}

export const emailVariants = {
  starttls: z.object({
    security: z
      .literal('starttls')
      .meta({ title: 'Encryption', description: 'How the connection is encrypted' }),
    ...connection,
    port: portField(587),
    ...signIn,
    ...letter,
  }),
  tls: z.object({
    security: z.literal('tls'),
    ...connection,
    port: portField(465),
    ...signIn,
    ...letter,
  }),
  none: z.object({
    security: z.literal('none'),
    host: connection.host,
    port: portField(25),
    ...letter,
  }),
};

/** A mail server, and what is sent by it. Without encryption nobody signs in. */
export const emailOptions = z.discriminatedUnion('security', [
  emailVariants.starttls,
  emailVariants.tls,
  emailVariants.none,
]);

export type EmailOptions = z.output<typeof emailOptions>;
