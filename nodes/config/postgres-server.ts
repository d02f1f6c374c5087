import { z } from 'zod';
import { type PostgresServer, postgresServer } from '../../lib/sources/postgres/options.ts';
import { createPostgresSource } from '../../lib/sources/postgres/postgres-source.ts';
import { defineNode } from '../define-node.ts';
import { offer, POSTGRES_SERVER, type ServiceUse, SSH } from '../services.ts';
import { firstServerFields, lastServerFields, testServer } from './server-fields.ts';

const { port, maintenanceDatabase } = postgresServer.shape;
const { toolsFolder, ...last } = lastServerFields;

const schema = z.object({
  ...firstServerFields,
  port: port.meta({ icon: 'fa-plug' }),
  ...last,
  maintenanceDatabase: maintenanceDatabase.meta({ icon: 'fa-database', section: 'advanced' }),
  toolsFolder: toolsFolder.meta({ placeholder: '/usr/lib/postgresql/17/bin' }),
});

/** A PostgreSQL server and how to sign in there. */
export const postgresServerNode = defineNode({
  type: 'dbackup-postgres-server',
  set: 'config',
  role: 'config',
  icon: 'dbackup-postgres.svg',
  labelFrom: ['host'],
  inputs: 0,
  outputs: 0,
  schemaVersion: 1,
  actions: [
    {
      name: 'test',
      route: 'servers/test',
      icon: 'fa-plug',
      run: (settings: Settings, { signal, use }) =>
        testServer(createPostgresSource(serverOf(settings, use), {}), signal),
    },
  ],
  schema,
  setup: ({ settings, use }) => ({
    offers: [offer(POSTGRES_SERVER, { server: () => serverOf(settings, use) })],
  }),
});

type Settings = z.output<typeof schema>;

function serverOf({ name: _name, ssh, ...server }: Settings, use: ServiceUse): PostgresServer {
  return ssh === undefined ? server : { ...server, tunnel: use(SSH, ssh).options() };
}
