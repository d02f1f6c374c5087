import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import Database from 'better-sqlite3';
import type { SetSummary } from '../../nodes/set-summary.ts';
import { idOf, type NodesRuntime, payloadOf, startNodes, template } from '../support/backup-nodes.ts';
import { type FileServers, skipWithoutFileServers, startFileServers } from '../support/file-servers.ts';
import { rowsOf, TemplateEnvironment } from '../support/template-environment.ts';

describe('flow templates of storages on file servers in Node-RED', function () {
  this.timeout(120_000);
  let servers: FileServers;
  let environment: TemplateEnvironment;
  let nodes: NodesRuntime | undefined;

  before(async function () {
    skipWithoutFileServers(this);
    servers = await startFileServers();
  });

  after(() => servers?.stop());

  beforeEach(() => {
    environment = new TemplateEnvironment();
    Object.assign(process.env, servers.environment);
  });

  afterEach(async () => {
    await nodes?.stop();
    nodes = undefined;
    environment?.remove();
  });

  /** Starts a template, presses its button, and gives what its recorder got. */
  async function run<Payload>(name: string, recorder: string, results: number): Promise<Payload[]> {
    const flows = template(name);
    nodes = await startNodes(flows);
    nodes.runtime.fire(idOf(flows, 'inject'));
    const messages = await nodes.records(recorder, results);
    await nodes.runtime.tracker.idle();
    assert.deepEqual(nodes.recorded('Errors'), []);
    assert.ok(!JSON.stringify(messages).includes(servers.samba.settings.password));
    return messages.map((message) => payloadOf<Payload>(message));
  }

  it('21: to an SSH server, where the set is read back and verified', async () => {
    const [report] = await run<{ set: string; ok: boolean; files: unknown[] }>('21-sftp', 'Report', 1);
    assert.equal(report?.ok, true);
    assert.equal(report?.files.length, 1);
    const files = readdirSync(join(servers.ssh.folder, 'sftp', report?.set ?? ''));
    assert.ok(files.includes('manifest.json'), files.join());
    assert.ok(
      files.some((file) => file.endsWith('.zst.dbk')),
      files.join(),
    );
  });

  it('22: to a folder and to a Windows share at the same time', async () => {
    const summaries = await run<SetSummary>('22-smb', 'Result', 2);
    const storages = summaries.map(({ storage }) => storage).sort();
    assert.deepEqual(storages, [
      `file://${environment.first}`,
      `smb://127.0.0.1:${servers.samba.port}/${servers.samba.settings.share}/dbackup`,
    ]);
    const set = summaries[0]?.set ?? '';
    const local = readdirSync(join(environment.first, set)).sort();
    assert.ok(local.includes('manifest.json'));
    assert.deepEqual(readdirSync(join(servers.samba.share, 'dbackup', set)).sort(), local);
  });

  it('23: unencrypted by rsync, night after night, and encrypted to a folder', async () => {
    const stored = (set: string) => join(servers.ssh.folder, 'rsync', set);
    const sets: string[] = [];
    for (let night = 0; night < 2; night += 1) {
      const summaries = await run<SetSummary>('23-rsync-incremental', 'Result', 2);
      await nodes?.stop();
      const { set = '' } = summaries[0] ?? {};
      sets.push(set);
      assert.ok(readdirSync(join(environment.first, set)).some((file) => file.endsWith('.zst.dbk')));
      assert.ok(readdirSync(stored(set)).includes('app.sqlite.zst'));
      addRow(environment.database);
    }
    const [first = '', second = ''] = sets;
    assert.notEqual(first, second);
    const rows = (set: string) => {
      const file = join(environment.root, `${basename(set)}.sqlite`);
      writeFileSync(file, zstdDecompressSync(readFileSync(join(stored(set), 'app.sqlite.zst'))));
      return rowsOf(file);
    };
    assert.equal(rows(second).length, rows(first).length + 1);
    assert.deepEqual(rows(second).slice(0, -1), rows(first));
  });
});

function addRow(file: string): void {
  const database = new Database(file);
  database.exec('INSERT INTO item (data) VALUES (randomblob(1000))');
  database.close();
}
