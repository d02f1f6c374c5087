import assert from 'node:assert/strict';
import { join } from 'node:path';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { dbackup, eventsOf, RunnerProcess } from '../support/runner-process.ts';
import { bearerRequest, signedRequest } from '../support/signed-request.ts';

const FLOWS = join(import.meta.dirname, '..', '..', 'flows');
const SECRET = 'a-secret-of-the-tests';

describe('webhooks of dbackup serve', function () {
  this.timeout(120_000);
  let work: RunnerWorkspace;
  let running: RunnerProcess | undefined;

  beforeEach(() => {
    work = new RunnerWorkspace();
  });

  afterEach(async () => {
    running?.kill('SIGKILL');
    await running?.finished;
    running = undefined;
    work.remove();
  });

  const env = () =>
    work.env({
      APP_DATABASE: work.database,
      BACKUP_DIR: work.first,
      BACKUP_WEBHOOK_TOKEN: SECRET,
      BACKUP_WEBHOOK_SECRET: SECRET,
    });

  async function serve(flow: string) {
    const runner = new RunnerProcess(['serve', join(FLOWS, flow), '--port', '0', '--json'], { env: env() });
    running = runner;
    return { runner, url: String((await runner.event('listening')).url) };
  }

  for (const [flow, path, right, wrong] of [
    ['27-webhook-bearer.json', '/backup/app', bearerRequest, bearerRequest('{}', 'wrong-secret-123456')],
    ['28-webhook-hmac.json', '/backup/signed', signedRequest, signedRequest('{}', 'wrong-secret-123456')],
  ] as const) {
    it(`${flow}: the answer has the id of a run that the history knows, with its log`, async () => {
      const { runner, url } = await serve(flow);
      assert.equal((await fetch(url + path, { method: 'POST' })).status, 401);
      assert.equal((await fetch(url + path, wrong)).status, 401);
      const body = JSON.stringify({ tags: ['pre-migration'], note: 'Before 2.0', pin: true });
      const answer = await fetch(url + path, right(body, SECRET));
      assert.equal(answer.status, 202);
      const { run, job } = (await answer.json()) as { run: string; job: string };
      assert.equal(job, 'app');
      // Follows the run in another process, and ends with it.
      const followed = await dbackup(['logs', run, '--follow'], { env: env() });
      assert.equal(followed.code, 0, followed.stderr);
      assert.match(
        followed.stdout,
        /^\S+ \S+ UTC {2}info {3}Opened: .*\n(?:.*\n)*.* {2}Succeeded after .*\n$/,
      );
      assert.match(followed.stderr, /Run \S+ of app: succeeded/);
      assert.equal((await runner.event('run-finished')).run, run);
      const runs = await dbackup(['runs', '--json'], { env: env() });
      const [recorded, ...others] = (JSON.parse(runs.stdout) as { runs: { id: string; state: string }[] })
        .runs;
      assert.deepEqual([recorded?.id, recorded?.state, others.length], [run, 'succeeded', 0]);
      const shown = await dbackup(['show', 'latest', '--storage', work.first, '--json'], { env: env() });
      const { recipe } = JSON.parse(shown.stdout) as { recipe: { annotations: object } };
      assert.deepEqual(recipe.annotations, { tags: ['pre-migration'], note: 'Before 2.0', pinned: true });
      runner.kill('SIGTERM');
      const { stdout, stderr } = await runner.finished;
      const warnings = eventsOf(stdout).filter(({ level }) => level === 'warn' || level === 'error');
      assert.deepEqual(warnings, [], 'refused requests are no errors');
      for (const output of [stdout, stderr, followed.stdout]) assert.ok(!output.includes(SECRET));
    });
  }

  it('shows the log of the latest run, of a job, by level, and for machines', async () => {
    const { runner, url } = await serve('27-webhook-bearer.json');
    const answer = await fetch(`${url}/backup/app`, bearerRequest('', SECRET));
    const { run } = (await answer.json()) as { run: string };
    await runner.event('run-finished');
    const logs = async (...args: string[]) => dbackup(['logs', ...args], { env: env() });
    const machine = await logs('latest', '--job', 'app', '--level', 'debug', '--json');
    const lines = machine.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { run: string; level: string; message: string; number: number });
    assert.ok(lines.every((line) => line.run === run));
    assert.ok(lines.some(({ level, message }) => level === 'debug' && message.startsWith('Stage: dumping ')));
    assert.deepEqual(
      lines.map(({ number }) => number),
      lines.map(({ number }) => number).sort((a, b) => a - b),
    );
    assert.equal((await logs('latest', '--level', 'warn')).stdout, '');
    for (const [args, message] of [
      [['latest', '--job', 'none'], /No run of none is recorded/],
      [['20260101T000000Z_00000000'], /The history knows no run/],
      [[run, '--job', 'app'], /--job goes with "latest" only/],
      [['latest', '--data', join(work.root, 'elsewhere')], /No run is recorded/],
    ] as const) {
      const { code, stderr } = await logs(...args);
      assert.notEqual(code, 0);
      assert.match(stderr, message);
    }
  });
});
