import { z } from 'zod';
import { postgresSource } from '../../lib/sources/postgres/options.ts';
import { createPostgresSource } from '../../lib/sources/postgres/postgres-source.ts';
import { defineNode } from '../define-node.ts';
import { configNode, jobName, nodeName } from '../forms/common-fields.ts';
import { POSTGRES_SERVER } from '../services.ts';
import { chooseDatabases } from './choose-databases.ts';
import { needsFields, needsOf } from './needs-fields.ts';
import { passSource } from './recipe-source.ts';
import { listButton, selection } from './server-source-fields.ts';

const { format, globals, countRows, lockTimeout, statementTimeout } = postgresSource.shape;

const schema = z.object({
  name: nodeName,
  job: jobName,
  server: configNode(['dbackup-postgres-server'], 'fa-server'),
  ...selection,
  globals: globals.meta({ icon: 'fa-users' }),
  format: format.meta({ icon: 'fa-file-o', section: 'advanced' }),
  lockTimeout: lockTimeout.meta({ icon: 'fa-clock-o', unit: 's', section: 'advanced' }),
  statementTimeout: statementTimeout.meta({ icon: 'fa-hourglass-o', unit: 's', section: 'advanced' }),
  countRows: countRows.meta({ icon: 'fa-list-ol', section: 'advanced' }),
  ...needsFields,
});

/** Dumps databases of a PostgreSQL server. */
export const postgresNode = defineNode({
  type: 'dbackup-postgres',
  set: 'sources',
  role: 'source',
  icon: 'dbackup-postgres.svg',
  labelFrom: ['job'],
  inputs: 1,
  outputs: 1,
  schemaVersion: 1,
  actions: [
    {
      ...listButton,
      run: ({ server, databases, exclude }: z.output<typeof schema>, { signal, use }) => {
        const everything = createPostgresSource(use(POSTGRES_SERVER, server).server(), { globals: false });
        return chooseDatabases(everything, { databases, exclude }, signal);
      },
    },
  ],
  schema,
  setup(context) {
    const { name: _name, job, server, needs, copies, ...options } = context.settings;
    return {
      async onInput(message, deliver) {
        const driver = createPostgresSource(context.use(POSTGRES_SERVER, server).server(), options);
        const { databases, exclude } = options;
        const part = { driver, job, needs: needsOf({ needs, copies }), options: { databases, exclude } };
        await passSource(context, part, message, deliver);
      },
    };
  },
});
