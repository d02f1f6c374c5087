import { TestRsyncd } from '../servers/rsyncd.ts';
import { TestSamba } from '../servers/samba.ts';
import { startSshd, type TestSshd } from '../servers/sshd.ts';
import { skipBecause } from './skip.ts';

/** The servers that the nodes of SFTP, SMB and rsync storages are tried with. */
export interface FileServers {
  /** Takes keys and passwords. */
  readonly ssh: TestSshd;
  readonly samba: TestSamba;
  readonly rsyncd: TestRsyncd;
  /** The variables that the flow templates of these storages ask for. */
  readonly environment: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/** Both change their user. */
export function canStartFileServers(): boolean {
  return process.getuid?.() === 0;
}

/** Skips what needs these servers where this user may not start them. */
export function skipWithoutFileServers(context: Mocha.Context): void {
  if (!canStartFileServers()) skipBecause(context, 'smbd and sshd need root');
}

/** Starts an sshd, a Samba and an rsync daemon at once. */
export async function startFileServers(): Promise<FileServers> {
  const started: { stop(): Promise<void> }[] = [];
  const stop = async () => void (await Promise.all(started.map((server) => server.stop())));
  const keep = async <T extends { stop(): Promise<void> }>(starting: Promise<T>): Promise<T> => {
    const server = await starting;
    started.push(server);
    return server;
  };
  const starting = [
    keep(startSshd({ passwords: 'password' })),
    keep(TestSamba.start()),
    keep(TestRsyncd.start()),
  ] as const;
  try {
    const [ssh, samba, rsyncd] = await Promise.all(starting);
    const environment = {
      ...sshVariables('SFTP', ssh),
      ...smbVariables(samba),
      ...sshVariables('RSYNC', ssh),
    };
    return { ssh, samba, rsyncd, environment, stop };
  } catch (error) {
    await Promise.allSettled(starting);
    await stop();
    throw error;
  }
}

function sshVariables(prefix: 'SFTP' | 'RSYNC', server: TestSshd): Record<string, string> {
  const { host, port, user, key, hostKeys, root } = server;
  const values = {
    HOST: host,
    PORT: String(port),
    USER: user,
    KEY_FILE: key.file,
    HOST_KEY: hostKeys.ed25519,
    FOLDER: `${root}/${prefix.toLowerCase()}`,
  };
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`${prefix}_${name}`, value]));
}

function smbVariables({ host, port, settings }: TestSamba): Record<string, string> {
  return {
    SMB_HOST: host,
    SMB_PORT: String(port),
    SMB_SHARE: settings.share,
    SMB_USER: settings.user,
    SMB_PASSWORD: settings.password,
  };
}
