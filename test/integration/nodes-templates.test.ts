import assert from 'node:assert/strict';
import { readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import type { SetSummary } from '../../nodes/set-summary.ts';
import { idOf, type NodesRuntime, payloadOf, startNodes, template } from '../support/backup-nodes.ts';
import { rowsOf, TemplateEnvironment } from '../support/template-environment.ts';
import { until } from '../support/until.ts';

describe('flow templates in Node-RED', () => {
  let environment: TemplateEnvironment;
  let nodes: NodesRuntime | undefined;

  beforeEach(() => {
    environment = new TemplateEnvironment();
  });

  afterEach(async () => {
    await nodes?.stop();
    nodes = undefined;
    environment.remove();
  });

  /** Starts a template, presses its button, and gives the summaries that its recorder got. */
  async function run(name: string, results: number, recorder = 'Result'): Promise<SetSummary[]> {
    const flows = template(name);
    nodes = await startNodes(flows);
    nodes.runtime.fire(idOf(flows, 'inject'));
    const messages = await nodes.records(recorder, results);
    await nodes.runtime.tracker.idle();
    assert.deepEqual(nodes.recorded('Errors'), []);
    return messages.map(({ payload }) => payload as SetSummary);
  }

  const setsIn = (storage: string) => readdirSync(join(storage, 'app'));

  it('01: one dump into two folders, compressed and encrypted', async () => {
    const [one, two] = await run('01-quick-start', 2);
    assert.ok(one !== undefined && two !== undefined);
    assert.equal(one.set, two.set);
    assert.equal(one.bytes, two.bytes);
    assert.deepEqual(setsIn(environment.first), setsIn(environment.other));
    const files = readdirSync(join(environment.first, one.set));
    assert.ok(
      files.includes('manifest.json') && files.some((file) => file.endsWith('.zst.dbk')),
      files.join(),
    );
    const [message] = nodes?.recorded('Result') ?? [];
    assert.ok(!JSON.stringify(message).includes('correct-horse'), 'no secret travels in a message');
  });

  it('02: a plain copy that SQLite opens', async () => {
    const [summary] = await run('02-plain-copy', 1);
    const folder = join(environment.first, summary?.set ?? '');
    const file = readdirSync(folder).find((name) => name.endsWith('.sqlite'));
    assert.deepEqual(rowsOf(join(folder, file ?? '')), rowsOf(environment.database));
  });

  it('03: a fork after the compression', async () => {
    const summaries = await run('03-fan-out', 2);
    const endings = summaries.map(({ storage, set }) => {
      const files = readdirSync(join(storage.replace('file://', ''), set));
      return files.find((file) => file.startsWith('app.'))?.replace(/^.*?\.sqlite\.(?=zst)/, '');
    });
    assert.deepEqual(endings.sort(), ['zst', 'zst.dbk']);
  });

  it('04: a destination behind a destination copies its set', async () => {
    const [summary] = await run('04-three-two-one', 1, 'Both copies');
    assert.equal(summary?.storage, `file://${environment.other}`);
    assert.deepEqual(setsIn(environment.first), setsIn(environment.other));
  });

  it('05: two sources in one set', async () => {
    const [summary] = await run('05-several-sources', 1);
    assert.deepEqual(
      summary?.databases.map(({ status }) => status),
      ['ok', 'ok'],
    );
  });

  it('06: a webhook is answered at once with the id of the run', async () => {
    nodes = await startNodes(template('06-webhook'), { http: { port: 0 } });
    const response = await fetch(`${nodes.runtime.url}/backup`, { method: 'POST' });
    assert.equal(response.status, 202);
    const answer = (await response.json()) as { runId: string };
    const [message] = await nodes.records('Result', 1);
    assert.equal(payloadOf<SetSummary>(message).runId, answer.runId);
    assert.deepEqual(nodes.recorded('Errors'), []);
  });

  it('07: restores what 01 has stored', async () => {
    await run('01-quick-start', 2);
    await nodes?.stop();
    await run('07-restore-latest', 1);
    assert.deepEqual(rowsOf(environment.restored), rowsOf(environment.database));
  });

  it('08: verifies the content after the backup, and the newest set on demand', async () => {
    const [report] = (await run('08-verify-after-backup', 1)) as unknown as { ok: boolean; level: string }[];
    assert.deepEqual([report?.ok, report?.level], [true, 'content']);
    const second = template('08-verify-after-backup').filter(({ type }) => type === 'inject')[1];
    nodes?.runtime.fire(second?.id ?? '');
    const again = (await nodes?.records('Report', 1))?.map(({ payload }) => payload as { level: string });
    assert.equal(again?.[0]?.level, 'hash');
  });

  it('09: encrypts for a public key', async () => {
    const [summary] = await run('09-age-recipients', 1);
    const files = readdirSync(join(environment.first, summary?.set ?? ''));
    assert.ok(
      files.some((file) => file.endsWith('.zst.age')),
      files.join(),
    );
  });

  it('10: is started by a clock, and by hand', async () => {
    assert.equal((await run('10-nightly', 1)).length, 1);
  });

  it('25: tells of jobs and runs, and puts a job back', async () => {
    const flows = template('25-jobs');
    nodes = await startNodes(flows);
    nodes.runtime.fire(idOf(flows, 'dbackup-schedule'), { payload: 'fire' });
    await nodes.records('Result', 1);
    await nodes.runtime.tracker.idle();
    const jobs = idOf(flows, 'dbackup-jobs');
    const asked = [{ topic: 'list' }, { topic: 'runs', job: 'app' }, { topic: 'requeue', job: 'app' }];
    for (const message of asked) nodes.runtime.fire(jobs, message);
    const answers = await nodes.records('Jobs or runs', 3);
    assert.deepEqual(
      answers.map((answer) => payloadOf<{ job: string; state: string }[]>(answer)[0]?.state).sort(),
      ['healthy', 'healthy', 'succeeded'],
    );
    assert.deepEqual(nodes.recorded('Errors'), []);
  });

  it('24: is started by a schedule, which messages pause and resume', async () => {
    const flows = template('24-schedule');
    nodes = await startNodes(flows);
    const schedule = idOf(flows, 'dbackup-schedule');
    for (const { id } of flows.filter(({ type }) => type === 'inject')) {
      nodes.runtime.fire(id);
      await nodes.runtime.tracker.idle();
    }
    nodes.runtime.fire(schedule, { command: 'fire' });
    const [message] = await nodes.records('Result', 1);
    assert.equal(payloadOf<SetSummary>(message).status, 'complete');
    assert.deepEqual(nodes.recorded('Errors'), []);
  });

  it('26: tells how far a backup is, once when it fails, and once when it works again', async () => {
    await run('26-run-events', 1);
    const progress = () => (nodes?.recorded('Progress') ?? []).map(({ topic }) => topic);
    await until(() => progress().at(-1) === 'succeeded');
    assert.equal(progress()[0], 'started');
    assert.deepEqual(nodes?.recorded('Tell people'), []);
    const away = `${environment.database}.away`;
    renameSync(environment.database, away);
    const inject = idOf(template('26-run-events'), 'inject');
    for (let time = 0; time < 2; time += 1) {
      nodes?.runtime.fire(inject);
      await nodes?.runtime.tracker.idle();
    }
    renameSync(away, environment.database);
    assert.ok((nodes?.recorded('Errors').length ?? 0) >= 2);
    nodes?.runtime.fire(inject);
    const told = (await nodes?.records('Tell people', 2)) ?? [];
    assert.deepEqual(
      told.map((message) => [message.topic, payloadOf<string>(message).split(':')[0]]),
      [
        ['failed', 'The backup of app failed'],
        ['recovered', 'The backup of app works again'],
      ],
    );
  });
});
