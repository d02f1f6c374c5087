import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { SetSummary } from '../../nodes/set-summary.ts';
import { idOf, type NodesRuntime, payloadOf, startNodes, template } from '../support/backup-nodes.ts';
import { TemplateEnvironment } from '../support/template-environment.ts';
import {
  startTemplateServers,
  TEMPLATE_DATABASE,
  type TemplateServers,
} from '../support/template-servers.ts';

describe('flow templates of database servers in Node-RED', function () {
  this.timeout(240_000);
  let servers: TemplateServers;
  let environment: TemplateEnvironment;
  let nodes: NodesRuntime | undefined;

  before(async function () {
    this.timeout(240_000);
    servers = await startTemplateServers();
  });

  after(() => servers?.stop());

  beforeEach(() => {
    environment = new TemplateEnvironment();
    Object.assign(process.env, servers.environment);
  });

  afterEach(async () => {
    await nodes?.stop();
    nodes = undefined;
    environment.remove();
  });

  /** Starts a template, presses its button, and gives what its recorder got. */
  async function run<Payload>(name: string, recorder: string, results = 1): Promise<Payload[]> {
    await nodes?.stop();
    const flows = template(name);
    nodes = await startNodes(flows);
    nodes.runtime.fire(idOf(flows, 'inject'));
    const messages = await nodes.records(recorder, results);
    await nodes.runtime.tracker.idle();
    assert.deepEqual(nodes.recorded('Errors'), []);
    assert.ok(!JSON.stringify(messages).includes('ssword'), 'no secret travels in a message');
    return messages.map((message) => payloadOf<Payload>(message));
  }

  const namesOf = (summary: SetSummary | undefined) => summary?.databases.map(({ name }) => name) ?? [];

  for (const [kind, numbers, wide] of [
    ['postgres', [11, 12, 13], 'globals'],
    ['mysql', [14, 15, 16], 'users'],
  ] as const) {
    const [nightly, all, drill] = numbers;

    it(`${nightly} and ${drill}: back ${kind} up, and restore the newest set under another name, again and again`, async () => {
      const [summary] = await run<SetSummary>(`${nightly}-${kind}-nightly`, 'Result');
      assert.deepEqual(namesOf(summary).sort(), [wide, TEMPLATE_DATABASE].sort());
      const files = readdirSync(join(environment.first, summary?.set ?? ''));
      assert.ok(
        files.some((file) => /^shop\..*\.zst\.dbk$/.test(file)),
        files.join(),
      );
      for (let round = 0; round < 2; round += 1) {
        const [report] = await run<{ target: string }>(`${drill}-${kind}-restore-drill`, 'Report');
        assert.match(report?.target ?? '', /restore_drill/);
        const server = servers[kind];
        assert.deepEqual(await server.rows('restore_drill'), await server.rows(TEMPLATE_DATABASE));
      }
    });

    it(`${all}: stores every database of ${kind} on two disks`, async () => {
      const [one, two] = await run<SetSummary>(`${all}-${kind}-all-databases`, 'Result', 2);
      assert.equal(one?.set, two?.set);
      assert.equal(one?.status, 'complete');
      for (const name of [TEMPLATE_DATABASE, wide])
        assert.ok(namesOf(one).includes(name), namesOf(one).join());
    });
  }

  it('17: reaches PostgreSQL through an SSH host', async () => {
    const [summary] = await run<SetSummary>('17-postgres-through-ssh', 'Result');
    assert.equal(summary?.status, 'complete');
    assert.ok(namesOf(summary).includes(TEMPLATE_DATABASE));
  });
});
