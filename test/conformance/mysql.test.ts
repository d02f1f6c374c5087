import { openMysqlSource } from '../fixtures/mysql-source-fixture.ts';
import { orSkip } from '../servers/foreign-suite.ts';
import { mysqlPackages, startMysql } from '../servers/mysql.ts';
import { describeSource } from './source.suite.ts';

const LONG_MS = 15 * 60_000;

describe('with the packages of MySQL', () => {
  before(async function () {
    this.timeout(LONG_MS);
    await orSkip(this, mysqlPackages);
  });

  describeSource({
    name: 'mysql 9',
    startMs: LONG_MS,
    open: async () => openMysqlSource(await startMysql()),
  });
});
