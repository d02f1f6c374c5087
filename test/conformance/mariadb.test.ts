import { openMysqlSource } from '../fixtures/mysql-source-fixture.ts';
import { startMariadb } from '../servers/mariadb.ts';
import { describeSource } from './source.suite.ts';

describeSource({ name: 'mariadb 10.11', open: async () => openMysqlSource(await startMariadb()) });
