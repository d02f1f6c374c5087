import { z } from 'zod';
import { smbOptions } from '../../lib/destinations/smb/options.ts';
import { createSmbDestination } from '../../lib/destinations/smb/smb.ts';
import { toBackupError } from '../../lib/errors.ts';
import { nodeName } from '../forms/common-fields.ts';
import { CONNECTIONS, CREATE_FOLDER, FOLDER, TIMEOUT } from './storage-fields.ts';
import { storageNode } from './storage-node.ts';

const { shape } = smbOptions;

const schema = z
  .object({
    name: nodeName,
    host: shape.host.meta({ icon: 'fa-server', placeholder: 'files.example.com' }),
    share: shape.share.meta({ icon: 'fa-share-alt', placeholder: 'backups' }),
    root: shape.root.meta({ ...FOLDER, placeholder: 'databases' }),
    create: shape.create.meta(CREATE_FOLDER),
    user: shape.user.meta({ icon: 'fa-user', placeholder: 'backup' }),
    domain: shape.domain.meta({ icon: 'fa-building-o', placeholder: 'EXAMPLE' }),
    password: shape.password.meta({ icon: 'fa-lock', secret: true }),
    port: shape.port.meta({ icon: 'fa-plug', section: 'advanced' }),
    encryption: shape.encryption.meta({ icon: 'fa-shield', section: 'advanced', cautions: ['off'] }),
    signing: shape.signing.meta({ icon: 'fa-pencil', section: 'advanced', cautions: ['server'] }),
    protocol: shape.protocol.meta({ icon: 'fa-code', section: 'advanced' }),
    connections: shape.connections.meta(CONNECTIONS),
    timeout: shape.timeout.meta(TIMEOUT),
    clientFolder: shape.clientFolder.meta({
      icon: 'fa-wrench',
      control: 'path',
      section: 'advanced',
      placeholder: '/opt/samba/bin',
    }),
  })
  .superRefine((settings, context) => {
    // What one field says of another one, such as a password without a user.
    try {
      createSmbDestination(settings);
    } catch (error) {
      context.addIssue({ code: 'custom', message: toBackupError(error).message });
    }
  });

/** A folder in a Windows share that holds backups. */
export const smbStorageNode = storageNode({
  kind: 'smb',
  labelFrom: ['share'],
  schema,
  open: (settings) => createSmbDestination(settings),
});
