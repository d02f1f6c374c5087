import { chownSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { createFtpDestination } from '../../lib/destinations/ftp/ftp.ts';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import { createRsyncDestination } from '../../lib/destinations/rsync/rsync.ts';
import { createS3Destination } from '../../lib/destinations/s3/s3.ts';
import { createSftpDestination } from '../../lib/destinations/sftp/sftp.ts';
import { createSmbDestination } from '../../lib/destinations/smb/smb.ts';
import { createWebdavDestination } from '../../lib/destinations/webdav/webdav.ts';
import type { FlowEntry } from '../../runner/runtime.ts';
import { TestApache } from '../servers/apache.ts';
import { startCeph } from '../servers/ceph.ts';
import { TestGate } from '../servers/gate.ts';
import { TestProftpd } from '../servers/proftpd.ts';
import { TestRsyncd } from '../servers/rsyncd.ts';
import { TestSamba } from '../servers/samba.ts';
import { startSshd } from '../servers/sshd.ts';
import { filesBelow } from './runner-traces.ts';
import { TestBucket } from './s3-bucket.ts';

/** Folder of the backups on each server. */
const FOLDER = 'backups';
/** A storage that waits is not given up, in seconds: its run is killed. */
const TIMEOUT = 3600;

/** A storage that a runner writes to through a gate, looked at without the gate. */
export interface KilledStorage {
  readonly kind: string;
  /** Absent where there is no network. */
  readonly gate?: TestGate;
  readonly driver: DestinationDriver;
  /** Settings of the storage's config node, and its credentials. */
  readonly settings: object;
  readonly secrets: Readonly<Record<string, string>>;
  /** Puts a file there without us. */
  plant(path: string, content: string): Promise<void>;
  /** Begins an upload of another program, where the storage has uploads; its trace. */
  plantUpload?(): Promise<string>;
  /** Everything that lies there, by paths in the storage: objects, temporary files, open uploads. */
  traces(): Promise<string[]>;
  stop(): Promise<void>;
}

/** Starts a storage; the folder is for one on this disk. */
export type StorageStarter = (folder: string) => Promise<KilledStorage>;

/** Ids of nodes for a storage of that kind. */
export function nodesOf({ kind, settings }: KilledStorage, tab: string): FlowEntry[] {
  return [
    {
      id: `${kind}-storage`,
      type: `dbackup-${kind}-storage`,
      name: `Storage ${kind}`,
      schemaVersion: 1,
      ...settings,
    },
    {
      id: `to-${kind}`,
      type: `dbackup-${kind}`,
      z: tab,
      x: 100,
      y: 100,
      name: `to ${kind}`,
      storage: `${kind}-storage`,
      folder: '',
      rate: '',
      schemaVersion: 1,
      wires: [[]],
    },
  ];
}

export async function localStorage(folder: string): Promise<KilledStorage> {
  const root = join(folder, FOLDER);
  mkdirSync(root);
  return {
    kind: 'local',
    driver: createLocalDestination({ root, reserveMiB: 0 }),
    settings: { root, create: false, reserveMiB: 0 },
    secrets: {},
    ...onDisk(root),
    stop: async () => undefined,
  };
}

export async function ftpStorage(): Promise<KilledStorage> {
  const server = await TestProftpd.start({ security: 'plain' });
  const gate = await TestGate.start(server.port);
  const root = ownFolder(server.home);
  const { host, user, password = '' } = server.settings;
  return {
    kind: 'ftp',
    gate,
    driver: createFtpDestination({ ...server.settings, root: FOLDER }),
    settings: { host, port: gate.port, security: 'plain', user, root: FOLDER, timeout: TIMEOUT },
    secrets: { password },
    ...onDisk(root),
    stop: () => stopAll(gate, server),
  };
}

export async function webdavStorage(): Promise<KilledStorage> {
  const server = await TestApache.start();
  const gate = await TestGate.start(server.port);
  const root = ownFolder(server.root);
  const { url, user, password = '' } = server.settings;
  const through = url.replace(`:${server.port}/`, `:${gate.port}/`);
  return {
    kind: 'webdav',
    gate,
    driver: createWebdavDestination({ ...server.settings, url: `${url}/${FOLDER}` }),
    settings: { server: 'basic', url: `${through}/${FOLDER}`, user, timeout: TIMEOUT },
    secrets: { password },
    ...onDisk(root),
    stop: () => stopAll(gate, server),
  };
}

export async function sftpStorage(): Promise<KilledStorage> {
  const server = await startSshd();
  const gate = await TestGate.start(server.port);
  const root = ownFolder(server.folder);
  const place = { root: `${server.root}/${FOLDER}`, reserveMiB: 0 };
  const { host, user, hostKeys, key } = server;
  return {
    kind: 'sftp',
    gate,
    driver: createSftpDestination({ ...server.settings, ...place }),
    settings: {
      ...place,
      host,
      port: gate.port,
      user,
      auth: 'key',
      hostKeys: [hostKeys.ed25519],
      timeout: TIMEOUT,
    },
    secrets: { privateKey: key.text },
    ...onDisk(root),
    stop: () => stopAll(gate, server),
  };
}

export async function rsyncStorage(): Promise<KilledStorage> {
  const server = await TestRsyncd.start();
  const gate = await TestGate.start(server.port);
  const { password = '', ...place } = { ...server.settings, root: FOLDER };
  return {
    kind: 'rsync',
    gate,
    driver: createRsyncDestination({ ...place, password }),
    settings: { ...place, port: gate.port, timeout: TIMEOUT },
    secrets: { password },
    ...onDisk(ownFolder(server.home)),
    stop: () => stopAll(gate, server),
  };
}

export async function smbStorage(): Promise<KilledStorage> {
  const server = await TestSamba.start();
  const gate = await TestGate.start(server.port);
  const root = join(server.share, FOLDER);
  makeFolder(root, server.account);
  const { host, share, user, password } = server.settings;
  return {
    kind: 'smb',
    gate,
    driver: createSmbDestination({ ...server.settings, root: FOLDER }),
    settings: { host, port: gate.port, share, user, root: FOLDER, timeout: TIMEOUT },
    secrets: { password },
    ...onDisk(root, server.account),
    stop: () => stopAll(gate, server),
  };
}

export async function s3Storage(): Promise<KilledStorage> {
  const server = await startCeph();
  const bucket = await TestBucket.create(server.endpoint, server.keys);
  const gate = await TestGate.start(Number(new URL(server.endpoint).port));
  const settings = bucket.settings(FOLDER);
  const { secretAccessKey = '', ...shown } = settings;
  return {
    kind: 's3',
    gate,
    driver: createS3Destination(settings),
    settings: { ...shown, endpoint: `http://127.0.0.1:${gate.port}`, region: 'us-east-1', timeout: TIMEOUT },
    secrets: { secretAccessKey },
    plant: (path, content) => bucket.put(`${FOLDER}/${path}`, Buffer.from(content)),
    plantUpload: async () => {
      const Key = `${FOLDER}/videos/holiday.mp4`;
      const { UploadId } = await bucket.client.createMultipartUpload({ Bucket: bucket.name, Key });
      return `videos/holiday.mp4 (upload ${UploadId})`;
    },
    traces: () => bucket.traces(FOLDER),
    stop: () => stopAll(gate, server),
  };
}

/** The folder of the backups below one that a server shows, belonging to the server's account. */
function ownFolder(home: string): string {
  const root = join(home, FOLDER);
  makeFolder(root);
  return root;
}

function onDisk(root: string, owner?: Owner): Pick<KilledStorage, 'plant' | 'traces'> {
  return {
    plant: async (path, content) => {
      const file = join(root, path);
      makeFolder(dirname(file), owner);
      writeFileSync(file, content);
    },
    traces: async () => filesBelow(root),
  };
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** With that owner, else the one of the folder above, which exists. */
function makeFolder(path: string, owner?: Owner): void {
  const made = mkdirSync(path, { recursive: true });
  if (made === undefined || process.getuid?.() !== 0) return;
  const { uid, gid } = owner ?? statSync(dirname(made));
  for (let folder = path; folder.length >= made.length; folder = dirname(folder)) chownSync(folder, uid, gid);
}

async function stopAll(
  ...servers: readonly { close?(): Promise<void>; stop?(): Promise<void> }[]
): Promise<void> {
  for (const server of servers) await (server.close?.() ?? server.stop?.());
}
