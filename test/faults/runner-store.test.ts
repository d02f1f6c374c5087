import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { STORE_FILE } from '../../lib/store/store.ts';
import { startPostgres, type TestPostgres } from '../servers/postgres.ts';
import { freePort } from '../support/free-port.ts';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { stored } from '../support/runner-moments.ts';
import { dbackup, eventsOf, type Finished, RunnerProcess } from '../support/runner-process.ts';
import { listedSets } from '../support/runner-traces.ts';

/** MB/s at which a run takes some seconds. */
const SLOW = 0.3;

describe('a runner whose history is in PostgreSQL', function () {
  this.timeout(300_000);
  let server: TestPostgres;
  let work: RunnerWorkspace;
  let running: RunnerProcess | undefined;

  beforeEach(async () => {
    server = await startPostgres();
    await server.query('CREATE DATABASE history');
    work = new RunnerWorkspace();
  });

  afterEach(async () => {
    running?.kill('SIGKILL');
    await running?.finished;
    running = undefined;
    work.remove();
    await server.stop();
  });

  const url = (port = server.settings.port) => `postgresql://postgres@127.0.0.1:${port}/history`;
  const env = () => work.env({ DBACKUP_STORE_PASSWORD: server.password });
  const reasonOf = ({ stdout }: Finished) => eventsOf(stdout).find(({ event }) => event === 'error')?.code;
  const nothingIsStored = () => readdirSync(work.first).length + readdirSync(work.second).length === 0;

  it('records its runs there, and finds them there', async () => {
    const done = await dbackup(['run', work.flow(), '--store', url(), '--json'], { env: env() });
    assert.equal(done.code, 0, done.stderr);
    assert.equal(existsSync(join(work.data, STORE_FILE)), false);
    const list = await dbackup(['runs', '--store', url(), '--json'], { env: env() });
    const { runs } = JSON.parse(list.stdout) as { runs: { id: string; state: string }[] };
    assert.deepEqual(
      runs.map(({ state }) => state),
      ['succeeded'],
    );
    const one = await dbackup(['runs', runs[0]?.id ?? ''], { env: { ...env(), DBACKUP_STORE: url() } });
    assert.match(one.stdout, /^State +succeeded$/m);
    for (const { stdout, stderr } of [done, list, one]) {
      assert.ok(!`${stdout}${stderr}`.includes(server.password));
    }
  });

  it('does not begin when it cannot be reached', async () => {
    const done = await dbackup(['run', work.flow(), '--store', url(await freePort()), '--json'], {
      env: env(),
    });
    assert.equal(done.code, 3, done.stderr);
    assert.equal(reasonOf(done), 'unavailable');
    assert.match(done.stdout, /The store postgresql:\/\/postgres@127\.0\.0\.1:\d+\/history cannot be used/);
    assert.ok(nothingIsStored());
  });

  it('does not begin with a password on the command line', async () => {
    const wrong = url().replace('postgres@', 'postgres:hunter2@');
    const done = await dbackup(['run', work.flow(), '--store', wrong, '--json'], { env: env() });
    assert.equal(done.code, 2, done.stderr);
    assert.equal(reasonOf(done), 'invalid-config');
    assert.ok(!`${done.stdout}${done.stderr}`.includes('hunter2'));
    assert.ok(nothingIsStored());
  });

  it('stores the backup when the server goes away on the way, and says what is missing', async () => {
    const args = ['run', work.flow({ rate: SLOW }), '--store', url(), '--json'];
    running = new RunnerProcess(args, { env: env() });
    await stored(running, 'near', 200_000);
    await server.kill();
    const { code, stdout, stderr } = await running.finished;
    assert.equal(code, 5, stderr);
    assert.match(stdout, /The history could not record the end of run \S+ The store postgresql:/);
    for (const root of [work.first, work.second]) assert.equal((await listedSets(root)).length, 1);
  });
});
