import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { SetSummary } from '../../nodes/set-summary.ts';
import { idOf, type NodesRuntime, payloadOf, startNodes, template } from '../support/backup-nodes.ts';
import { type StorageServers, startStorageServers } from '../support/storage-servers.ts';
import { TemplateEnvironment } from '../support/template-environment.ts';

describe('flow templates of storages in Node-RED', function () {
  this.timeout(240_000);
  let servers: StorageServers;
  let environment: TemplateEnvironment;
  let nodes: NodesRuntime | undefined;

  before(async () => {
    servers = await startStorageServers();
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

  /** Starts a template, presses its button, and gives the summaries that its recorder got. */
  async function run(name: string, recorder: string, results: number): Promise<SetSummary[]> {
    const flows = template(name);
    nodes = await startNodes(flows);
    nodes.runtime.fire(idOf(flows, 'inject'));
    const messages = await nodes.records(recorder, results);
    await nodes.runtime.tracker.idle();
    assert.deepEqual(nodes.recorded('Errors'), []);
    const text = JSON.stringify(messages);
    for (const secret of ['S3_SECRET_ACCESS_KEY', 'NEXTCLOUD_APP_PASSWORD', 'FTP_PASSWORD']) {
      assert.ok(!text.includes(servers.environment[secret] ?? secret), `${secret} travels in a message`);
    }
    return messages.map((message) => payloadOf<SetSummary>(message));
  }

  /** The names of a set's files, which are those of the copy in the local folder or of none. */
  function assertWhole(files: readonly string[]): void {
    assert.ok(files.includes('manifest.json'), files.join());
    assert.ok(
      files.some((file) => file.endsWith('.zst.dbk')),
      files.join(),
    );
  }

  it('18: to a folder and to a bucket at the same time', async () => {
    const summaries = await run('18-s3-nightly', 'Result', 2);
    const storages = summaries.map(({ storage }) => storage).sort();
    assert.deepEqual(storages, [
      `file://${environment.first}`,
      `${servers.bucket.endpoint}/${servers.bucket.name}/dbackup`,
    ]);
    const set = summaries[0]?.set ?? '';
    const local = readdirSync(join(environment.first, set)).sort();
    assertWhole(local);
    const traces = await servers.bucket.traces('dbackup');
    assert.deepEqual(
      traces,
      local.map((file) => `${set}/${file}`),
    );
  });

  it('19: among the files of a Nextcloud user', async () => {
    const [summary] = await run('19-webdav-nextcloud', 'Result', 1);
    assert.match(summary?.storage ?? '', /\/remote\.php\/dav\/files\/tester\/dbackup$/);
    assertWhole(readdirSync(join(servers.nextcloud.root, 'dbackup', summary?.set ?? '')));
  });

  it('20: to a folder, and the whole set from there to an FTP server', async () => {
    const [summary] = await run('20-ftp', 'Both copies', 1);
    assert.match(summary?.storage ?? '', /^ftps:\/\/127\.0\.0\.1:\d+\/dbackup$/);
    const copied = readdirSync(join(servers.ftp.home, 'dbackup', summary?.set ?? '')).sort();
    assertWhole(copied);
    assert.deepEqual(copied, readdirSync(join(environment.first, summary?.set ?? '')).sort());
  });
});
