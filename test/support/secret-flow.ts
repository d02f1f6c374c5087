import type { FlowEntry } from '../../runner/runtime.ts';
import type { SecretServers } from './secret-servers.ts';

/** Secrets of nodes, by node id and field. */
export type SecretsByNode = Readonly<Record<string, Readonly<Record<string, string>>>>;

export interface SecretFlow {
  readonly nodes: readonly FlowEntry[];
  readonly secrets: SecretsByNode;
}

export interface FlowPlaces {
  readonly database: string;
  readonly folder: string;
  readonly token: string;
  readonly passphrase: string;
  /** A port of this host where nobody listens. */
  readonly closedPort: number;
}

/** Paths of the webhooks that start the flow's backups. */
export const GOOD = '/good';
export const BAD_STORAGES = '/bad-storages';
export const BAD_SOURCES = '/bad-sources';

const STRANGE_HOST_KEY = `SHA256:${'B'.repeat(43)}`;

/**
 * One tab with three backups behind webhooks: one that stores everywhere, one whose storages refuse it, each in another
 * way, and one whose sources do. Every server has its secret; wrong ones begin with `wrong-`.
 */
export function secretFlow(servers: SecretServers, places: FlowPlaces): SecretFlow {
  const secrets: Record<string, Record<string, string>> = {};
  const nodes: FlowEntry[] = [{ id: 'tab', type: 'tab', label: 'Secrets' }];
  const config = (id: string, type: string, settings: object, secret: Record<string, string> = {}) => {
    nodes.push({ id, type, name: '', schemaVersion: 1, ...settings });
    if (Object.keys(secret).length > 0) secrets[id] = secret;
    return id;
  };
  const at = (id: string, type: string, settings: object, wires: readonly (readonly string[])[]) => {
    const place = { z: 'tab', x: 100, y: 40 * nodes.length };
    nodes.push({ id, type, name: '', schemaVersion: 1, ...place, ...settings, wires });
    return id;
  };
  const storages = storagesOf(servers, places.closedPort);
  const destinations = (kind: 'right' | 'wrong') =>
    storages
      .filter((storage) => kind === 'wrong' || storage.right !== undefined)
      .map(({ name, type, settings, right, wrong }) => {
        const id = `${kind}-${name}`;
        const chosen = { ...settings, ...(kind === 'wrong' ? wrong.settings : {}) };
        config(`${id}-storage`, `dbackup-${type}-storage`, chosen, kind === 'right' ? right : wrong.secret);
        return at(id, `dbackup-${type}`, { storage: `${id}-storage`, folder: kind }, [['seen']]);
      });
  const local = config('disk', 'dbackup-local-storage', { root: places.folder, create: true, reserveMiB: 0 });
  const hook = (path: string, next: string) => {
    const id = `hook${path}`;
    at(`in${path}`, 'http in', { url: path, method: 'post' }, [[id]]);
    at(id, 'dbackup-webhook', { check: 'bearer', parameters: ['tags'] }, [[next]]);
    secrets[id] = { secret: places.token };
  };
  at(
    'seen',
    'debug',
    { active: true, tosidebar: true, console: true, complete: 'true', targetType: 'full' },
    [],
  );
  at('caught', 'catch', { scope: null }, [['seen']]);
  at('answer', 'http response', { statusCode: '202' }, []);
  config('pass-key', 'dbackup-key', { kind: 'passphrase' }, { passphrase: places.passphrase });
  config('vault-key', 'dbackup-key', { kind: 'vault', keyName: 'main' });

  const { postgres, mysql } = servers;
  const serverOf = ({ settings: { host, port, user } }: typeof postgres | typeof mysql) => ({
    host,
    port,
    user,
  });
  const password = ({ settings }: typeof postgres | typeof mysql) => ({ password: settings.password ?? '' });
  config('pg', 'dbackup-postgres-server', serverOf(postgres), password(postgres));
  config('my', 'dbackup-mysql-server', serverOf(mysql), password(mysql));
  hook(GOOD, 'good-1');
  at('good-1', 'dbackup-postgres', { job: 'good', server: 'pg', databases: ['shop'], globals: false }, [
    ['good-2', 'answer'],
  ]);
  at('good-2', 'dbackup-mysql', { job: 'good', server: 'my', databases: ['shop'], users: false }, [
    ['good-3', 'good-4', 'near'],
  ]);
  at('good-3', 'dbackup-encrypt', { key: 'pass-key' }, [destinations('right')]);
  at('good-4', 'dbackup-encrypt', { key: 'vault-key' }, [['locked']]);
  at('near', 'dbackup-local', { storage: local, folder: 'plain' }, [['seen']]);
  at('locked', 'dbackup-local', { storage: local, folder: 'locked' }, [['seen']]);

  hook(BAD_STORAGES, 'bad-1');
  at('bad-1', 'dbackup-sqlite', { job: 'bad', files: [places.database] }, [
    [...destinations('wrong'), 'answer'],
  ]);

  const wrong = (name: string) => ({ password: `wrong-password-of-${name}` });
  config('pg-wrong', 'dbackup-postgres-server', serverOf(postgres), wrong('postgres'));
  config('my-wrong', 'dbackup-mysql-server', serverOf(mysql), wrong('mysql'));
  config(
    'pg-down',
    'dbackup-postgres-server',
    { ...serverOf(postgres), port: places.closedPort },
    wrong('nobody'),
  );
  hook(BAD_SOURCES, 'lost-1');
  at('lost-1', 'dbackup-sqlite', { job: 'lost', files: [places.database] }, [['lost-2', 'answer']]);
  at('lost-2', 'dbackup-postgres', { job: 'lost', server: 'pg-wrong', databases: ['shop'] }, [['lost-3']]);
  at('lost-3', 'dbackup-mysql', { job: 'lost', server: 'my-wrong', databases: ['shop'] }, [['lost-4']]);
  at('lost-4', 'dbackup-postgres', { job: 'lost', server: 'pg-down', databases: ['shop'] }, [['lost-5']]);
  at('lost-5', 'dbackup-local', { storage: local, folder: 'lost' }, [['seen']]);
  return { nodes, secrets };
}

interface Storage {
  readonly name: string;
  readonly type: string;
  readonly settings: object;
  /** Absent: it is tried with the wrong secret only. */
  readonly right?: Record<string, string>;
  readonly wrong: { readonly settings?: object; readonly secret: Record<string, string> };
}

function storagesOf({ bucket, webdav, ftp, files }: SecretServers, closedPort: number): Storage[] {
  const { ssh, samba, rsyncd } = files;
  const sshHost = { host: ssh.host, port: ssh.port, user: ssh.user, hostKeys: [ssh.hostKeys.ed25519] };
  const rsyncHost = { host: rsyncd.settings.host, port: rsyncd.settings.port, user: rsyncd.settings.user };
  const made = { create: true, timeout: 30 };
  const { passphrase, text: privateKey } = ssh.encryptedKey;
  const wrong = (name: string) => ({ password: `wrong-password-of-${name}` });
  return [
    {
      name: 's3',
      type: 's3',
      settings: {
        provider: 'other',
        region: 'us-east-1',
        endpoint: bucket.endpoint,
        bucket: bucket.name,
        accessKeyId: bucket.keys.accessKeyId,
        attempts: 1,
      },
      right: { secretAccessKey: bucket.keys.secretAccessKey },
      wrong: { secret: { secretAccessKey: 'wrong-secret-key-of-s3' } },
    },
    {
      name: 'webdav',
      type: 'webdav',
      settings: {
        server: 'basic',
        url: webdav.settings.url,
        user: webdav.settings.user,
        caFile: webdav.caFile,
        ...made,
      },
      right: { password: webdav.settings.password ?? '' },
      wrong: { secret: wrong('webdav') },
    },
    {
      name: 'token',
      type: 'webdav',
      settings: { server: 'bearer', url: webdav.settings.url, caFile: webdav.caFile, ...made },
      wrong: { secret: { token: 'wrong-token-of-webdav' } },
    },
    {
      name: 'ftp',
      type: 'ftp',
      settings: {
        host: ftp.host,
        port: ftp.port,
        security: 'explicit-tls',
        user: ftp.settings.user,
        caFile: ftp.caFile,
        root: 'backups',
        ...made,
      },
      right: { password: ftp.settings.password ?? '' },
      wrong: { secret: wrong('ftp') },
    },
    {
      name: 'sftp',
      type: 'sftp',
      settings: { ...sshHost, auth: 'key', root: `${ssh.root}/sftp`, ...made },
      right: { privateKey, passphrase },
      wrong: { secret: { privateKey, passphrase: 'wrong-passphrase-of-sftp' } },
    },
    {
      name: 'refused',
      type: 'sftp',
      settings: { ...sshHost, auth: 'password', hostKeys: [STRANGE_HOST_KEY], root: ssh.root, ...made },
      wrong: { secret: { password: ssh.password } },
    },
    {
      name: 'smb',
      type: 'smb',
      settings: {
        host: samba.host,
        port: samba.port,
        share: 'store',
        user: samba.settings.user,
        root: 'backups',
        ...made,
      },
      right: { password: samba.settings.password },
      wrong: { secret: wrong('smb') },
    },
    {
      name: 'rsyncd',
      type: 'rsync',
      settings: { transport: 'daemon', ...rsyncHost, module: 'backups', root: 'sets', ...made },
      right: { password: rsyncd.settings.password ?? '' },
      wrong: { secret: wrong('rsyncd') },
    },
    {
      name: 'rsync-ssh',
      type: 'rsync',
      settings: { transport: 'ssh-password', ...sshHost, root: `${ssh.root}/rsync`, ...made },
      right: { password: ssh.password },
      wrong: { secret: wrong('rsync') },
    },
    {
      name: 'down',
      type: 'ftp',
      settings: { host: '127.0.0.1', port: closedPort, security: 'plain', user: 'nobody', ...made },
      wrong: { secret: wrong('closed') },
    },
  ];
}
