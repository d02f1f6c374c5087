import assert from 'node:assert/strict';
import { createMysqlSource } from '../../lib/sources/mysql/mysql-source.ts';
import { startMariadb } from '../servers/mariadb.ts';
import type { TestMysqlServer } from '../servers/mysql-server.ts';
import { FaultyRuns } from '../support/mysql-faults.ts';

const DATABASES = 20;
const DUMPS = 200;

describe('a MariaDB dump whose tool dies between its last byte and its end', function () {
  this.timeout(600_000);
  let server: TestMysqlServer;
  let runs: FaultyRuns;

  before(async () => {
    server = await startMariadb();
    runs = await FaultyRuns.open(server);
    for (let index = 0; index < DATABASES; index++) await server.query(`CREATE DATABASE tiny${index}`);
  });
  after(async () => {
    await runs?.close();
    await server?.stop();
  });
  afterEach(async () => await runs.requireNothingLeft());

  const deaths = ['kill -9 $$', 'exit 3', 'exec >&-; kill -9 $$', 'exec >&-; exit 3'];
  for (const death of deaths) {
    it(`never once succeeds: ${death}`, async () => {
      const toolsFolder = await runs.tools(`echo '-- Dump completed'; ${death}`);
      const settings = { ...server.settings, toolsFolder, tls: 'off', concurrency: 4 } as const;
      const source = createMysqlSource(settings, { databases: ['tiny*'], users: false });
      for (let dumps = 0; dumps < DUMPS / deaths.length; dumps += DATABASES) {
        const { result, files } = await runs.run(source);
        assert.equal(result.state, 'failed');
        assert.equal(result.artifacts.length, DATABASES);
        for (const { error } of result.artifacts) {
          assert.equal(error?.code, 'incomplete');
          assert.match(error.message, /was killed \(SIGKILL\)|failed with exit code 3/);
        }
        assert.deepEqual(files, []);
      }
    });
  }
});
