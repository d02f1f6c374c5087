import { openPostgres } from './source/postgres.ts';
import { describeSource } from './source.suite.ts';

describeSource({ name: 'postgres 15 in the custom format', open: () => openPostgres(15, 'custom') });
describeSource({
  name: 'postgres 17 in the custom format',
  // Its packages may have to be fetched.
  startMs: 15 * 60_000,
  open: () => openPostgres(17, 'custom'),
});
