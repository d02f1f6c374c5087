import { openPostgres } from './source/postgres.ts';
import { describeSource } from './source.suite.ts';

describeSource({ name: 'postgres 15 in the plain format', open: () => openPostgres(15, 'plain') });
describeSource({ name: 'postgres 15 in the tar format', open: () => openPostgres(15, 'tar') });
