import { z } from 'zod';
import { sshOptions } from '../../ssh/options.ts';

const [key, password, agent] = sshOptions.options;
const { host, port, user, hostKeys } = key.shape;

/** A path is passed to the server as it is; NUL would end it early there. */
const serverPath = z.string().refine((path) => !path.includes('\0'), 'it holds a NUL character');

const first = {
  host: host.meta({ title: 'Host', description: 'Name or address of the SSH server' }),
  port: port.meta({ title: 'Port' }),
  user: user.meta({ title: 'User' }),
};

const last = {
  hostKeys: z.array(hostKeys.element).default([]).meta({
    title: 'Host keys',
    description: 'SHA-256 fingerprints of the keys that the server may show, as ssh-keygen -lf prints them',
  }),
  /** Off by default: whoever answers the first time would be trusted. */
  trustFirst: z.boolean().default(false).meta({
    title: 'Trust the first key',
    description:
      'Without host keys: trust the key that the server shows first, and remember it. Another one is refused later',
  }),
  root: serverPath.trim().default('').meta({
    title: 'Folder',
    description: 'Folder that holds the backups; without a slash at its beginning below the login folder',
  }),
  /** Off by default, as for a local folder: a mistyped one, or a disk that is missing there, shows then. */
  create: z.boolean().default(false).meta({
    title: 'Create the folder',
    description: 'Create the folder when it is missing',
  }),
  reserveMiB: z.number().int().nonnegative().default(64).meta({
    title: 'Keep free',
    description: 'Space that backups leave free on the server; small files such as manifests may use it',
    unit: 'MiB',
  }),
  timeout: z.number().int().min(1).max(3600).default(60).meta({
    title: 'Timeout',
    description: 'How long the server may take to answer, or to take or give the next bytes',
    unit: 's',
  }),
};

/** An SSH server, how we sign in there, and a folder on it. */
export const sftpOptions = z.discriminatedUnion('auth', [
  z.object({
    ...first,
    auth: key.shape.auth,
    privateKey: key.shape.privateKey.meta({ title: 'Private key' }),
    keyFile: key.shape.keyFile.meta({
      title: 'Key file',
      description: 'Path of the file that holds the private key, when it is not given here',
      control: 'path',
    }),
    passphrase: key.shape.passphrase.meta({ title: 'Passphrase' }),
    ...last,
  }),
  z.object({
    ...first,
    auth: password.shape.auth,
    password: password.shape.password.meta({ title: 'Password' }),
    ...last,
  }),
  z.object({
    ...first,
    auth: agent.shape.auth,
    agentSocket: agent.shape.agentSocket.meta({
      title: 'Socket of the agent',
      description: 'Empty: the one that SSH_AUTH_SOCK names',
      control: 'path',
    }),
    ...last,
  }),
]);

export type SftpOptions = z.output<typeof sftpOptions>;
/** What a caller gives: the fields with defaults may be left out. */
export type SftpOptionsInput = z.input<typeof sftpOptions>;

/** Where the storage is, without secrets: `sftp://user@host:22/folder`, `//folder` from the root of the server. */
export function sftpLocation(options: SftpOptions): string {
  const { user, host, port } = options;
  const folder = options.root.replace(/\/+$/, '');
  const path = options.root === '' ? '' : `/${folder === '' ? '/' : folder}`;
  return `sftp://${user}@${host.includes(':') ? `[${host}]` : host}:${port}${path}`;
}
