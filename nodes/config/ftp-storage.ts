import { z } from 'zod';
import { createFtpDestination } from '../../lib/destinations/ftp/ftp.ts';
import { ftpOptions } from '../../lib/destinations/ftp/options.ts';
import { nodeName } from '../forms/common-fields.ts';
import {
  CA_FILE,
  CONNECTIONS,
  CREATE_FOLDER,
  FOLDER,
  TIMEOUT,
  VERIFY_CERTIFICATE,
} from './storage-fields.ts';
import { storageNode } from './storage-node.ts';

const { host, port, user, password, root, create, caFile, verifyCertificate, connections, timeout } =
  ftpOptions.shape;

const first = { name: nodeName, host: host.meta({ icon: 'fa-server', placeholder: 'ftp.example.com' }) };

const usualPort = port.meta({ icon: 'fa-plug', placeholder: '21' });

const account = {
  // Nobody keeps backups as the anonymous user, who is FTP's default.
  user: user.unwrap().meta({ icon: 'fa-user', placeholder: 'backup' }),
  password: password.meta({ icon: 'fa-lock', secret: true }),
  root: root.meta(FOLDER),
  create: create.meta(CREATE_FOLDER),
};

const tls = {
  caFile: caFile.meta(CA_FILE),
  verifyCertificate: verifyCertificate.meta(VERIFY_CERTIFICATE),
};

const last = { connections: connections.meta(CONNECTIONS), timeout: timeout.meta(TIMEOUT) };

/** A folder on an FTP server that holds backups. */
export const ftpStorageNode = storageNode({
  kind: 'ftp',
  labelFrom: ['host'],
  schema: z.discriminatedUnion('security', [
    z.object({
      ...first,
      security: z.literal('explicit-tls').meta({ icon: 'fa-shield', cautions: ['plain'] }),
      port: usualPort,
      ...account,
      ...tls,
      ...last,
    }),
    z.object({
      ...first,
      security: z.literal('implicit-tls'),
      port: port.meta({ placeholder: '990' }),
      ...account,
      ...tls,
      ...last,
    }),
    z.object({ ...first, security: z.literal('plain'), port: usualPort, ...account, ...last }),
  ]),
  open: (settings) => createFtpDestination(settings),
});
