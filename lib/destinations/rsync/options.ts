import { z } from 'zod';
import type { SshOptions } from '../../ssh/options.ts';
import { sshOptions } from '../../ssh/options.ts';

const [key, password, agent] = sshOptions.options;
const { host, port, user, hostKeys } = key.shape;

/** What ends a line would be part of another one in rsync's protocol, which has lines for signing in. */
const ONE_LINE = /^[^\r\n\0]*$/;
const oneLine = () => z.string().regex(ONE_LINE, 'it holds a line break');

/** The far side takes these for patterns, whatever they are quoted with; a control character is no part of a path. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: refusing exactly these
const PLAIN_PATH = /^[^*?[\]\\\u0000-\u001f\u007f]*$/;

const folder = z
  .string()
  .trim()
  .regex(PLAIN_PATH, 'it holds * ? [ ] \\ or a control character')
  .refine((path) => !path.split('/').includes('..'), 'it holds ..')
  .default('');

const last = {
  /** Off by default, as for a local folder: a mistyped one, or a disk that is missing there, shows then. */
  create: z.boolean().default(false).meta({
    title: 'Create the folder',
    description: 'Create the folder when it is missing',
  }),
  incremental: z.boolean().default(true).meta({
    title: 'Send changes only',
    description:
      'Send only what differs from the same file of the previous backup. Useful for plain dumps and for those that are compressed with stable borders; encrypted files never have anything in common',
  }),
  spoolDirectory: z.string().trim().default('').meta({
    title: 'Spool folder',
    description:
      "Folder for the temporary copy of a file that is sent or read: rsync moves files, not streams. Empty: the system's folder for temporary files",
    control: 'path',
  }),
  program: z.string().trim().default('').meta({
    title: 'Path of rsync',
    description: 'Path of the program on this host. Empty: rsync as the system finds it',
    control: 'path',
  }),
  connections: z.number().int().min(2).max(16).default(4).meta({
    title: 'Connections',
    description: 'Most transfers at the same time; servers often limit them',
  }),
  timeout: z.number().int().min(1).max(3600).default(60).meta({
    title: 'Timeout',
    description: 'How long the other side may send nothing at all, in seconds',
    unit: 's',
  }),
};

const sshServer = {
  host: host.meta({ title: 'Host', description: 'Name or address of the host' }),
  port: port.meta({ title: 'Port' }),
  user: user.meta({ title: 'User' }),
};

const sshPlace = {
  hostKeys: hostKeys.meta({
    title: 'Host keys',
    description: 'SHA-256 fingerprints of the keys that the host may show, as ssh-keygen -lf prints them',
  }),
  root: folder.meta({
    title: 'Folder',
    description: 'Folder that holds the backups; without a slash at its beginning below the login folder',
  }),
  ...last,
};

/**
 * An rsync daemon and a folder in one of its modules, or a host with rsync that is reached by SSH and a folder
 * there. `transport` also says how we sign in by SSH.
 */
export const rsyncOptions = z.discriminatedUnion('transport', [
  z.object({
    transport: z.literal('daemon').meta({
      title: 'Transport',
      description: 'The rsync daemon encrypts nothing; SSH does',
    }),
    host: host.meta({ title: 'Host', description: 'Name or address of the host' }),
    port: z.number().int().min(1).max(65_535).default(873).meta({ title: 'Port' }),
    module: z
      .string()
      .trim()
      .min(1, 'the module is missing')
      .regex(PLAIN_PATH, 'it holds * ? [ ] \\ or a control character')
      .refine((name) => !/[/:]/.test(name), 'it holds / or :')
      .meta({ title: 'Module', description: "Name of the module, as in the server's rsyncd.conf" }),
    user: oneLine().trim().default('').meta({ title: 'User' }),
    password: oneLine().optional().meta({ title: 'Password' }),
    root: folder.meta({
      title: 'Folder',
      description: 'Folder in the module that holds the backups. Empty: the module itself',
    }),
    ...last,
  }),
  z.object({
    transport: z.literal('ssh-key'),
    ...sshServer,
    privateKey: key.shape.privateKey.meta({ title: 'Private key' }),
    keyFile: key.shape.keyFile.meta({
      title: 'Key file',
      description: 'Path of the file that holds the private key, when it is not given here',
      control: 'path',
    }),
    passphrase: key.shape.passphrase.meta({ title: 'Passphrase' }),
    ...sshPlace,
  }),
  z.object({
    transport: z.literal('ssh-password'),
    ...sshServer,
    password: password.shape.password.meta({ title: 'Password' }),
    ...sshPlace,
  }),
  z.object({
    transport: z.literal('ssh-agent'),
    ...sshServer,
    agentSocket: agent.shape.agentSocket.meta({
      title: 'Socket of the agent',
      description: 'Empty: the one that SSH_AUTH_SOCK names',
      control: 'path',
    }),
    ...sshPlace,
  }),
]);

export type RsyncOptions = z.output<typeof rsyncOptions>;
/** What a caller gives: the fields with defaults may be left out. */
export type RsyncOptionsInput = z.input<typeof rsyncOptions>;
export type RsyncDaemonOptions = Extract<RsyncOptions, { transport: 'daemon' }>;
export type RsyncSshOptions = Exclude<RsyncOptions, { transport: 'daemon' }>;

/**
 * Where the storage is, without secrets: `rsync://host:873/module/folder`, `rsync+ssh://user@host:22/folder`;
 * there `//folder` is one from the root of the host.
 */
export function rsyncLocation(options: RsyncOptions): string {
  const { host, port, root } = options;
  const server = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  if (options.transport === 'daemon') {
    return ['rsync:/', server, options.module, ...namesOf(root)].join('/');
  }
  const path = root === '' ? '' : `/${root.startsWith('/') ? '/' : ''}${namesOf(root).join('/')}`;
  return `rsync+ssh://${options.user}@${server}${path}`;
}

/** The folder of the storage as rsync takes it, ending in a slash; below the module, the login folder or `/`. */
export function rootArgument(options: RsyncOptions): string {
  const names = namesOf(options.root);
  const below = names.length === 0 ? '' : `${names.join('/')}/`;
  if (options.transport === 'daemon') return `${options.module}/${below}`;
  return options.root.startsWith('/') ? `/${below}` : `./${below}`;
}

/** Components of the storage's folder. */
export function namesOf(root: string): string[] {
  return root.split('/').filter((name) => name !== '' && name !== '.');
}

/** How the host is reached and signed in to. */
export function sshOf(options: RsyncSshOptions): SshOptions {
  const { host, port, user, hostKeys } = options;
  const common = { host, port, user, hostKeys };
  switch (options.transport) {
    case 'ssh-key': {
      const { privateKey, keyFile, passphrase } = options;
      return {
        ...common,
        auth: 'key',
        keyFile,
        ...(privateKey === undefined ? {} : { privateKey }),
        ...(passphrase === undefined ? {} : { passphrase }),
      };
    }
    case 'ssh-password':
      return { ...common, auth: 'password', password: options.password };
    case 'ssh-agent':
      return { ...common, auth: 'agent', agentSocket: options.agentSocket };
  }
}
