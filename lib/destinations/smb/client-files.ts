import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makePrivateFolder, sweepPrivateFolders } from '../../private-folders.ts';
import type { SmbOptions } from './options.ts';

/** Of the private folders that hold them. */
const KIND = 'smb';

/** Once in the life of this process. */
let sweeping: Promise<unknown> | undefined;

/** What one run of smbclient reads when it starts: its settings, and the password. */
export interface ClientFiles {
  /** To be given to it first. */
  readonly args: readonly string[];
  /** To be called as soon as it has read them, and at its end. Never rejects. */
  remove(): Promise<void>;
}

/**
 * Writes settings and password into files that only this user can read: arguments can be seen by every user of
 * the machine. The machine's own smb.conf is not read, which could weaken what was asked for.
 */
export async function writeClientFiles(options: SmbOptions): Promise<ClientFiles> {
  // Killed processes cannot remove theirs: a password is not to lie there for longer than it must.
  sweeping ??= sweepPrivateFolders(tmpdir(), KIND).catch(() => []);
  await sweeping;
  const folder = await makePrivateFolder(KIND);
  const remove = () => rm(folder, { recursive: true, force: true }).catch(() => undefined);
  try {
    const configuration = join(folder, 'smb.conf');
    await writeFile(configuration, clientConfiguration(options, folder), { mode: 0o600 });
    const args = [`--configfile=${configuration}`];
    if (options.user === '') return { args: [...args, '--no-pass', '--user=%'], remove };
    const account = join(folder, 'account');
    await writeFile(account, accountText(options), { mode: 0o600 });
    return { args: [...args, `--authentication-file=${account}`], remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** The settings, as smb.conf(5) has them. */
export function clientConfiguration(options: SmbOptions, folder: string): string {
  const { protocol, signing, encryption, user } = options;
  return [
    '[global]',
    `client min protocol = ${protocol === 'SMB3' ? 'SMB3' : 'SMB2_02'}`,
    'client max protocol = SMB3',
    `client signing = ${signing === 'required' ? 'required' : 'desired'}`,
    // Guests have no key to encrypt with.
    `client smb encrypt = ${user === '' ? 'off' : encryption}`,
    'client use kerberos = off',
    'client NTLMv2 auth = yes',
    'unix charset = UTF-8',
    'name resolve order = host',
    // A dump may pause for long: routers forget connections on which nothing comes.
    'socket options = TCP_NODELAY SO_KEEPALIVE TCP_KEEPIDLE=60 TCP_KEEPINTVL=15 TCP_KEEPCNT=8',
    ...['private dir', 'lock directory', 'state directory', 'cache directory'].map(
      (setting) => `${setting} = ${folder}`,
    ),
    '',
  ].join('\n');
}

/** The account, as smbclient(1) has it under `--authentication-file`: the rest of a line is the value. */
function accountText({ user, domain, password = '' }: SmbOptions): string {
  const lines = [`username = ${user}`, `password = ${password}`];
  if (domain !== '') lines.push(`domain = ${domain}`);
  return `${lines.join('\n')}\n`;
}
