import { join } from 'node:path';
import { z } from 'zod';
import { sftpOptions } from '../../lib/destinations/sftp/options.ts';
import { createSftpDestination } from '../../lib/destinations/sftp/sftp.ts';
import { knownHostsFile } from '../../lib/ssh/known-hosts.ts';
import { nodeName } from '../forms/common-fields.ts';
import { orShowHostKeys, TRUSTS_HOST_KEYS, UNKNOWN_HOST_KEY } from './host-keys.ts';
import { authField, firstSshFields, havingKey, hostKeysField, signInFields } from './ssh-fields.ts';
import { CREATE_FOLDER, FOLDER, TIMEOUT } from './storage-fields.ts';
import { storageNode } from './storage-node.ts';
import { testStorage } from './test-storage.ts';

/** Holds the keys of the hosts whose first key was trusted, below the data directory. */
const KNOWN_HOSTS = 'known_hosts';

const { shape } = sftpOptions.options[0];

const first = {
  name: nodeName,
  ...firstSshFields,
  host: firstSshFields.host.meta({ placeholder: 'backup.example.com' }),
};

const last = {
  hostKeys: hostKeysField(shape.hostKeys).meta({ requiredUnless: 'trustFirst' }),
  trustFirst: shape.trustFirst.meta({ icon: 'fa-thumb-tack', cautions: ['true'] }),
  root: shape.root.meta(FOLDER),
  create: shape.create.meta(CREATE_FOLDER),
  reserveMiB: shape.reserveMiB.meta({ icon: 'fa-pie-chart', section: 'advanced' }),
  timeout: shape.timeout.meta(TIMEOUT),
};

const schema = z.discriminatedUnion('auth', [
  havingKey(z.object({ ...first, auth: authField.key, ...signInFields.key, ...last })),
  z.object({ ...first, auth: authField.password, ...signInFields.password, ...last }),
  z.object({ ...first, auth: authField.agent, ...signInFields.agent, ...last }),
]);

type Settings = z.output<typeof schema>;

/** A folder on an SSH server that holds backups. */
export const sftpStorageNode = storageNode({
  kind: 'sftp',
  labelFrom: ['host'],
  schema,
  open,
  test: {
    ...TRUSTS_HOST_KEYS,
    run: (settings: Settings, { signal, dataDir }) => {
      // Who trusts the first key wants to know whether backups can be stored, not which key that is.
      const isTrusted = settings.trustFirst && settings.hostKeys.join() === UNKNOWN_HOST_KEY;
      const asked = isTrusted ? { ...settings, hostKeys: [] } : settings;
      return orShowHostKeys(asked, () => testStorage(open(asked, dataDir), signal));
    },
  },
});

function open(settings: Settings, dataDir: string) {
  return createSftpDestination(settings, knownHostsFile(join(dataDir, KNOWN_HOSTS)));
}
