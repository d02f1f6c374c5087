import { z } from 'zod';
import { cloudFolderUrl } from '../../lib/destinations/webdav/cloud-folder.ts';
import { type WebdavOptionsInput, webdavOptions } from '../../lib/destinations/webdav/options.ts';
import { createWebdavDestination } from '../../lib/destinations/webdav/webdav.ts';
import { nodeName, storageFolder } from '../forms/common-fields.ts';
import { CA_FILE, CONNECTIONS, CREATE_FOLDER, TIMEOUT, VERIFY_CERTIFICATE } from './storage-fields.ts';
import { storageNode } from './storage-node.ts';

const { url, user, password, token, create, caFile, verifyCertificate, connections, timeout, chunkMiB } =
  webdavOptions.shape;

const signIn = {
  user: user.unwrap().min(1).meta({ icon: 'fa-user', placeholder: 'backup' }),
  password: password.unwrap().min(1).meta({ icon: 'fa-lock', secret: true }),
};

const created = { create: create.meta(CREATE_FOLDER) };

const tls = {
  caFile: caFile.meta(CA_FILE),
  verifyCertificate: verifyCertificate.meta(VERIFY_CERTIFICATE),
};

const last = { connections: connections.meta(CONNECTIONS), timeout: timeout.meta(TIMEOUT) };

const cloud = {
  address: z.string().trim().min(1).meta({
    icon: 'fa-cloud',
    placeholder: 'https://cloud.example.com',
    pattern: String.raw`^https?://[^\s?#@]+$`,
  }),
  ...signIn,
  folder: storageFolder,
  ...created,
  ...tls,
  ...last,
  chunkMiB: chunkMiB.meta({ icon: 'fa-th-large', unit: 'MiB', section: 'advanced' }),
};

const place = {
  url: url.meta({
    icon: 'fa-link',
    placeholder: 'https://dav.example.com/backups',
    pattern: String.raw`^https?://[^\s?#@]+$`,
  }),
};

const rest = { ...created, ...tls, ...last };

/** How each server is signed in to; a cloud by an app password, others in the way that they ask for. */
const schema = z.discriminatedUnion('server', [
  z.object({ name: nodeName, server: z.literal('nextcloud').meta({ icon: 'fa-server' }), ...cloud }),
  z.object({ name: nodeName, server: z.literal('owncloud'), ...cloud }),
  z.object({ name: nodeName, server: z.literal('basic'), ...place, ...signIn, ...rest }),
  z.object({ name: nodeName, server: z.literal('digest'), ...place, ...signIn, ...rest }),
  z.object({
    name: nodeName,
    server: z.literal('bearer'),
    ...place,
    token: token.unwrap().min(1).meta({ icon: 'fa-ticket', secret: true }),
    ...rest,
  }),
  z.object({ name: nodeName, server: z.literal('none'), ...place, ...rest }),
]);

/** A folder on a WebDAV server that holds backups. */
export const webdavStorageNode = storageNode({
  kind: 'webdav',
  labelFrom: ['address', 'url'],
  schema,
  open: (settings) => createWebdavDestination(webdavOptionsOf(settings)),
});

function webdavOptionsOf(settings: z.output<typeof schema>): WebdavOptionsInput {
  if (settings.server !== 'nextcloud' && settings.server !== 'owncloud') {
    const { server, ...options } = settings;
    return { ...options, auth: server };
  }
  const { server: _server, address, folder, ...options } = settings;
  return { ...options, auth: 'basic', url: cloudFolderUrl(address, options.user, folder) };
}
