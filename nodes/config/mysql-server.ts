import { z } from 'zod';
import { createMysqlSource } from '../../lib/sources/mysql/mysql-source.ts';
import { type MysqlServer, mysqlServer } from '../../lib/sources/mysql/options.ts';
import { defineNode } from '../define-node.ts';
import { MYSQL_SERVER, offer, type ServiceUse, SSH } from '../services.ts';
import { firstServerFields, lastServerFields, testServer } from './server-fields.ts';

const { port } = mysqlServer.shape;
const { toolsFolder, ...last } = lastServerFields;

const schema = z.object({
  ...firstServerFields,
  port: port.meta({ icon: 'fa-plug' }),
  ...last,
  toolsFolder: toolsFolder.meta({ placeholder: '/opt/mysql/bin' }),
});

/** A MySQL or MariaDB server and how to sign in there. */
export const mysqlServerNode = defineNode({
  type: 'dbackup-mysql-server',
  set: 'config',
  role: 'config',
  icon: 'dbackup-mysql.svg',
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
        testServer(createMysqlSource(serverOf(settings, use), {}), signal),
    },
  ],
  schema,
  setup: ({ settings, use }) => ({
    offers: [offer(MYSQL_SERVER, { server: () => serverOf(settings, use) })],
  }),
});

type Settings = z.output<typeof schema>;

function serverOf({ name: _name, ssh, ...server }: Settings, use: ServiceUse): MysqlServer {
  return ssh === undefined ? server : { ...server, tunnel: use(SSH, ssh).options() };
}
