import { z } from 'zod';
import { rsyncOptions } from '../../lib/destinations/rsync/options.ts';
import { createRsyncDestination } from '../../lib/destinations/rsync/rsync.ts';
import { nodeName } from '../forms/common-fields.ts';
import { orShowHostKeys, TRUSTS_HOST_KEYS } from './host-keys.ts';
import { firstSshFields, havingKey, hostKeysField, signInFields } from './ssh-fields.ts';
import { CONNECTIONS, CREATE_FOLDER, FOLDER, TIMEOUT } from './storage-fields.ts';
import { storageNode } from './storage-node.ts';
import { testStorage } from './test-storage.ts';

const [daemon, sshKey, sshPassword, sshAgent] = rsyncOptions.options;
const { shape } = daemon;

const last = {
  create: shape.create.meta(CREATE_FOLDER),
  incremental: shape.incremental.meta({ icon: 'fa-files-o' }),
  spoolDirectory: shape.spoolDirectory.meta({
    icon: 'fa-inbox',
    control: 'path',
    placeholder: '/var/tmp',
  }),
  program: shape.program.meta({
    icon: 'fa-wrench',
    control: 'path',
    section: 'advanced',
    placeholder: '/usr/bin/rsync',
  }),
  connections: shape.connections.meta(CONNECTIONS),
  timeout: shape.timeout.meta(TIMEOUT),
};

const sshPlace = {
  hostKeys: hostKeysField(sshKey.shape.hostKeys),
  root: sshKey.shape.root.meta(FOLDER),
  ...last,
};

const first = { name: nodeName };
const sshServer = {
  ...firstSshFields,
  host: firstSshFields.host.meta({ placeholder: 'backup.example.com' }),
};

const schema = z.discriminatedUnion('transport', [
  // The first one is what a new storage starts with: it encrypts.
  havingKey(
    z.object({
      ...first,
      transport: sshKey.shape.transport.meta({ icon: 'fa-random', cautions: ['daemon'] }),
      ...sshServer,
      ...signInFields.key,
      ...sshPlace,
    }),
  ),
  z.object({
    ...first,
    transport: sshPassword.shape.transport,
    ...sshServer,
    ...signInFields.password,
    ...sshPlace,
  }),
  z.object({
    ...first,
    transport: sshAgent.shape.transport,
    ...sshServer,
    ...signInFields.agent,
    ...sshPlace,
  }),
  z.object({
    ...first,
    transport: shape.transport,
    host: shape.host,
    port: shape.port,
    module: shape.module.meta({ icon: 'fa-archive', placeholder: 'backups' }),
    user: shape.user,
    password: shape.password.meta({ icon: 'fa-lock', secret: true }),
    root: shape.root,
    ...last,
  }),
]);

type Settings = z.output<typeof schema>;

/** A module of an rsync daemon, or a folder on an SSH server, that rsync keeps backups in. */
export const rsyncStorageNode = storageNode({
  kind: 'rsync',
  labelFrom: ['host'],
  schema,
  open: (settings) => createRsyncDestination(settings),
  test: {
    ...TRUSTS_HOST_KEYS,
    run: (settings: Settings, { signal }) => {
      const test = () => testStorage(createRsyncDestination(settings), signal);
      return settings.transport === 'daemon' ? test() : orShowHostKeys(settings, test);
    },
  },
});
