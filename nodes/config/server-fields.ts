import type { SourceDriver } from '../../lib/sources/driver.ts';
import { serverFields } from '../../lib/sources/server/server.ts';
import type { ActionAnswer } from '../form-actions.ts';
import { configNode, nodeName } from '../forms/common-fields.ts';

const { host, user, password, tls, caFile, certFile, keyFile, toolsFolder, concurrency, connectTimeout } =
  serverFields;

/** What the form of every database server begins with, before what is of its own kind. */
export const firstServerFields = {
  name: nodeName,
  host: host.meta({ icon: 'fa-server' }),
};

/** And what it goes on with. */
export const lastServerFields = {
  user: user.meta({ icon: 'fa-user', placeholder: 'backup' }),
  password: password.meta({ icon: 'fa-lock', secret: true }),
  tls: tls.meta({ icon: 'fa-shield' }),
  ssh: configNode(['dbackup-ssh'], 'fa-road').optional(),
  caFile: caFile.meta({
    icon: 'fa-certificate',
    control: 'path',
    section: 'advanced',
    placeholder: '/etc/ssl/private-ca.pem',
  }),
  certFile: certFile.meta({ icon: 'fa-id-card-o', control: 'path', section: 'advanced' }),
  keyFile: keyFile.meta({ icon: 'fa-key', control: 'path', section: 'advanced' }),
  concurrency: concurrency.meta({ icon: 'fa-tasks', section: 'advanced' }),
  connectTimeout: connectTimeout.meta({ icon: 'fa-clock-o', unit: 's', section: 'advanced' }),
  toolsFolder: toolsFolder.meta({ icon: 'fa-wrench', control: 'path', section: 'advanced' }),
};

/** Tells whether a full dump could be made now: version, tool, privileges. */
export async function testServer(source: SourceDriver, signal: AbortSignal): Promise<ActionAnswer> {
  const { summary, warnings } = await source.probe(signal);
  return {
    level: warnings.length > 0 ? 'warning' : 'ok',
    text: warnings.length > 0 ? 'test.warnings' : 'test.ok',
    values: { summary },
    notes: warnings,
  };
}
