import { z } from 'zod';
import { type SqliteOptions, sqliteOptions } from '../../lib/sources/sqlite/options.ts';
import { createSqliteSource } from '../../lib/sources/sqlite/sqlite-source.ts';
import { defineNode } from '../define-node.ts';
import { jobName, nodeName } from '../forms/common-fields.ts';
import { listDatabases } from './list-databases.ts';
import { needsFields, needsOf } from './needs-fields.ts';
import { passSource } from './recipe-source.ts';

const { files, method, spoolDirectory, pagesPerStep, busyTimeout, walGrowthLimit, countRows } =
  sqliteOptions.shape;

/** Dumps SQLite database files while they are in use. */
export const sqliteNode = defineNode({
  type: 'dbackup-sqlite',
  set: 'sources',
  role: 'source',
  icon: 'dbackup-sqlite.svg',
  labelFrom: ['job'],
  inputs: 1,
  outputs: 1,
  schemaVersion: 1,
  actions: [
    {
      name: 'databases',
      route: 'sources/databases',
      icon: 'fa-list',
      standIns: { job: 'any' },
      run: (settings: SqliteOptions, { signal }) => listDatabases(createSqliteSource(settings), signal),
    },
  ],
  schema: z.object({
    name: nodeName,
    job: jobName,
    files: files.meta({ icon: 'fa-database', placeholder: '/var/lib/shop/*.sqlite' }),
    method: method.meta({ icon: 'fa-random', section: 'advanced' }),
    spoolDirectory: spoolDirectory.meta({
      icon: 'fa-folder-o',
      control: 'path',
      section: 'advanced',
      placeholder: '/var/tmp',
    }),
    pagesPerStep: pagesPerStep.meta({ icon: 'fa-sliders', section: 'advanced' }),
    busyTimeout: busyTimeout.meta({ icon: 'fa-clock-o', section: 'advanced' }),
    walGrowthLimit: walGrowthLimit.meta({ icon: 'fa-line-chart', section: 'advanced' }),
    countRows: countRows.meta({ icon: 'fa-list-ol', section: 'advanced' }),
    ...needsFields,
  }),
  setup(context) {
    const { name: _name, job, needs, copies, ...options } = context.settings;
    const driver = createSqliteSource(options);
    const part = { driver, job, needs: needsOf({ needs, copies }), options: { files: options.files } };
    return { onInput: (message, deliver) => passSource(context, part, message, deliver) };
  },
});
