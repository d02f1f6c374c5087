import { z } from 'zod';
import { createMysqlSource } from '../../lib/sources/mysql/mysql-source.ts';
import { mysqlSource } from '../../lib/sources/mysql/options.ts';
import { defineNode } from '../define-node.ts';
import { configNode, jobName, nodeName } from '../forms/common-fields.ts';
import { MYSQL_SERVER } from '../services.ts';
import { chooseDatabases } from './choose-databases.ts';
import { needsFields, needsOf } from './needs-fields.ts';
import { passSource } from './recipe-source.ts';
import { listButton, selection } from './server-source-fields.ts';

const { consistency, users, binlogPosition, countRows, lockTimeout } = mysqlSource.shape;

const schema = z.object({
  name: nodeName,
  job: jobName,
  server: configNode(['dbackup-mysql-server'], 'fa-server'),
  ...selection,
  users: users.meta({ icon: 'fa-users' }),
  consistency: consistency.meta({ icon: 'fa-camera', section: 'advanced' }),
  lockTimeout: lockTimeout.meta({ icon: 'fa-clock-o', unit: 's', section: 'advanced' }),
  binlogPosition: binlogPosition.meta({ icon: 'fa-map-marker', section: 'advanced' }),
  countRows: countRows.meta({ icon: 'fa-list-ol', section: 'advanced' }),
  ...needsFields,
});

/** Dumps databases of a MySQL or MariaDB server. */
export const mysqlNode = defineNode({
  type: 'dbackup-mysql',
  set: 'sources',
  role: 'source',
  icon: 'dbackup-mysql.svg',
  labelFrom: ['job'],
  inputs: 1,
  outputs: 1,
  schemaVersion: 1,
  actions: [
    {
      ...listButton,
      run: ({ server, databases, exclude }: z.output<typeof schema>, { signal, use }) => {
        const everything = createMysqlSource(use(MYSQL_SERVER, server).server(), { users: false });
        return chooseDatabases(everything, { databases, exclude }, signal);
      },
    },
  ],
  schema,
  setup(context) {
    const { name: _name, job, server, needs, copies, ...options } = context.settings;
    return {
      async onInput(message, deliver) {
        const driver = createMysqlSource(context.use(MYSQL_SERVER, server).server(), options);
        const { databases, exclude } = options;
        const part = { driver, job, needs: needsOf({ needs, copies }), options: { databases, exclude } };
        await passSource(context, part, message, deliver);
      },
    };
  },
});
