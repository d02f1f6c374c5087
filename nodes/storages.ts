import { ftpStorageNode } from './config/ftp-storage.ts';
import { localStorageNode } from './config/local-storage.ts';
import { rsyncStorageNode } from './config/rsync-storage.ts';
import { s3StorageNode } from './config/s3-storage.ts';
import { sftpStorageNode } from './config/sftp-storage.ts';
import { smbStorageNode } from './config/smb-storage.ts';
import type { StorageNode } from './config/storage-node.ts';
import { webdavStorageNode } from './config/webdav-storage.ts';
import type { AnyNode } from './define-node.ts';
import { destinationNode } from './destinations/destination-node.ts';

type AnyStorageNode = AnyNode & Pick<StorageNode, 'kind'>;

/**
 * The config node of every kind of storage, one line for each: its destination node follows from it, and
 * restore and verify nodes can read from it. The first one stays: Node-RED knows it as the type that those
 * nodes refer to.
 */
export const storageNodes: readonly [AnyStorageNode, ...AnyStorageNode[]] = [
  localStorageNode,
  s3StorageNode,
  sftpStorageNode,
  webdavStorageNode,
  ftpStorageNode,
  smbStorageNode,
  rsyncStorageNode,
];

/** The destination node of every kind. */
export const destinationNodes: readonly AnyNode[] = storageNodes.map(({ kind }) => destinationNode(kind));

const [first, ...others] = storageNodes;

/** Types of the config nodes: what a field for any storage takes. */
export const storageTypes: readonly [string, ...string[]] = [first.type, ...others.map(({ type }) => type)];
