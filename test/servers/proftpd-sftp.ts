import { execFile } from 'node:child_process';
import { chmod, chown, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { SftpOptionsInput } from '../../lib/destinations/sftp/options.ts';
import { accountFor } from './account.ts';
import { TestProftpd } from './proftpd.ts';

const run = promisify(execFile);

/** ProFTPD as an SFTP server (mod_sftp of Debian's `proftpd-mod-crypto`), which signs in with a password. */
export class ProftpdSftp {
  /** The login folder, as it lies on this disk. */
  readonly folder: string;
  readonly root = '.';
  readonly settings: SftpOptionsInput;
  readonly #server: TestProftpd;
  readonly #keys: string;

  private constructor(server: TestProftpd, keys: string, hostKey: string) {
    const { user = '', password = '' } = server.settings;
    this.folder = server.home;
    this.settings = {
      host: server.host,
      port: server.port,
      user,
      auth: 'password',
      password,
      hostKeys: [hostKey],
    };
    this.#server = server;
    this.#keys = keys;
  }

  /** @param config lines for proftpd.conf: `SFTPExtensions -hardlink` leaves an extension out */
  static async start(config: readonly string[] = []): Promise<ProftpdSftp> {
    const keys = await mkdtemp(join(tmpdir(), 'dbackup-proftpd-keys-'));
    try {
      const key = join(keys, 'host-key');
      await run('ssh-keygen', ['-q', '-t', 'rsa', '-b', '2048', '-m', 'PEM', '-N', '', '-f', key]);
      const { stdout } = await run('ssh-keygen', ['-lf', `${key}.pub`]);
      const account = await accountFor('proftpd');
      if (account !== undefined) await chown(key, account.uid, account.gid);
      await chmod(keys, 0o755);
      const server = await TestProftpd.start({
        security: 'plain',
        config: [
          'LoadModule mod_sftp.c',
          'SFTPEngine on',
          `SFTPHostKey ${key}`,
          'SFTPAuthMethods password',
          ...config,
        ],
      });
      return new ProftpdSftp(server, keys, stdout.split(' ')[1] ?? '');
    } catch (error) {
      await rm(keys, { recursive: true, force: true });
      throw error;
    }
  }

  async log(): Promise<string> {
    return await this.#server.log();
  }

  async stop(): Promise<void> {
    await this.#server.stop();
    await rm(this.#keys, { recursive: true, force: true });
  }
}
