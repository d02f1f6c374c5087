import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { ROOT } from '../../build/sources.ts';
import { nodeSchemas } from '../../nodes/schemas.ts';
import { compareDatabases, createDatabase } from '../fixtures/sqlite-database.ts';
import { editorSuite } from '../support/editor/suite.ts';
import {
  canStartFileServers,
  type FileServers,
  skipWithoutFileServers,
  startFileServers,
} from '../support/file-servers.ts';
import { type NotifierServers, startNotifierServers } from '../support/notifier-servers.ts';
import { bearerRequest, signedRequest } from '../support/signed-request.ts';
import { type StorageServers, startStorageServers } from '../support/storage-servers.ts';
import { WEBHOOK_SECRET, WEBHOOK_TOKEN } from '../support/template-environment.ts';
import {
  startTemplateServers,
  TEMPLATE_DATABASE,
  type TemplateServers,
} from '../support/template-servers.ts';
import { until } from '../support/until.ts';

const RUN_WITHIN_MS = 180_000;
const NAMES = readdirSync(join(ROOT, 'flows'))
  .filter((file) => file.endsWith('.json'))
  .map((file) => file.replace('.json', ''))
  .sort();
/** Templates of storages whose servers need root. */
const ON_FILE_SERVERS = /^2[123]-/;

interface TemplateNode {
  readonly id: string;
  readonly type: string;
  readonly z?: string;
  readonly name?: string;
  readonly url?: string;
  /** Of a webhook: how a request proves that it may start a backup. */
  readonly check?: string;
  readonly wires?: readonly (readonly string[])[];
}

// Each of the servers stops with the process.
process.setMaxListeners(30);

describe('The templates of Import ▸ Examples, with their variables set', function () {
  this.timeout(240_000);
  let servers: TemplateServers;
  let storages: StorageServers;
  let notifiers: NotifierServers;
  let files: FileServers | undefined;
  const suite = editorSuite(async (folder) => {
    servers = await startTemplateServers();
    storages = await startStorageServers();
    notifiers = await startNotifierServers();
    if (canStartFileServers()) files = await startFileServers();
    const file = (name: string) => join(folder, name);
    createDatabase(file('app.sqlite'), { megabytes: 1 });
    createDatabase(file('users.sqlite'), { megabytes: 1, seed: 2, journalMode: 'delete' });
    return {
      environment: {
        APP_DATABASE: file('app.sqlite'),
        APP_DATABASE_2: file('users.sqlite'),
        BACKUP_DIR: file('disk'),
        BACKUP_DIR_2: file('other-disk'),
        RESTORE_TO: file('restored.sqlite'),
        DBACKUP_MASTER_KEY: 'a master key of the tests',
        BACKUP_WEBHOOK_TOKEN: WEBHOOK_TOKEN,
        BACKUP_WEBHOOK_SECRET: WEBHOOK_SECRET,
        AGE_RECIPIENT: await identityToRecipient(await generateX25519Identity()),
        ...servers.environment,
        ...storages.environment,
        ...notifiers.environment,
        ...files?.environment,
      },
    };
  });
  after(async () => {
    await servers?.stop();
    await storages?.stop();
    await notifiers?.stop();
    await files?.stop();
  });
  afterEach(() => assert.deepEqual(suite.editor.problems, []));

  it('are all listed', async () => {
    const dialog = await suite.editor.importDialog();
    assert.deepEqual(await dialog.examples(), NAMES);
    await dialog.cancel();
  });

  for (const name of NAMES) {
    it(`${name} is valid, and does what it is for`, async function () {
      if (ON_FILE_SERVERS.test(name)) skipWithoutFileServers(this);
      const { editor, server } = suite;
      const { canvas } = editor;
      const dialog = await editor.importDialog();
      await dialog.choose(name);
      const template = read(name);
      const nodes = template.filter(({ z }) => z !== undefined);
      await until(async () => (await canvas.ids()).length === nodes.length);
      assert.deepEqual([await canvas.unknown(), await canvas.invalid()], [[], []]);
      await editor.deploy();

      const shown = new Set<string>();
      for (const trigger of template.filter((node) => isTrigger(template, node))) {
        await start(trigger, template);
        for (const id of reached(template, trigger.id)) shown.add(id);
        await until(async () => {
          const statuses = await canvas.statuses();
          const failed = statuses.filter((text) => text.startsWith('✗'));
          assert.deepEqual(failed, []);
          // Notifiers behind run events show their own success, too.
          return statuses.filter((text) => text.startsWith('✓')).length >= shown.size;
        }, RUN_WITHIN_MS);
      }
      assert.doesNotMatch(server.output, /\[error\]/);
    });
  }

  it('07-restore-latest has restored the newest backup', async () => {
    compareDatabases(join(suite.folder, 'app.sqlite'), join(suite.folder, 'restored.sqlite'));
  });

  it('the restore drills have restored the newest backups under another name', async () => {
    for (const server of [servers.postgres, servers.mysql]) {
      assert.deepEqual(await server.rows('restore_drill'), await server.rows(TEMPLATE_DATABASE));
    }
  });

  /** What a person does to make the flow run. */
  async function start(
    { type, name = '', url = '' }: TemplateNode,
    template: readonly TemplateNode[],
  ): Promise<void> {
    if (type !== 'http in') return (await suite.editor.canvas.labelled(name)).press();
    const check = template.find((node) => node.type === 'dbackup-webhook')?.check;
    const answer = await fetch(`${suite.server.url}${url}`, requestFor(check));
    assert.equal(answer.status, 202);
    const { run, runId = run } = (await answer.json()) as { run?: string; runId?: string };
    assert.match(runId ?? '', /^\w+$/);
  }
});

function requestFor(check: string | undefined): RequestInit {
  if (check === undefined) return { method: 'POST' };
  return check === 'bearer' ? bearerRequest('', WEBHOOK_TOKEN) : signedRequest('', WEBHOOK_SECRET);
}

function read(name: string): readonly TemplateNode[] {
  return JSON.parse(readFileSync(join(ROOT, 'flows', `${name}.json`), 'utf8'));
}

/** What leads to a schedule only tells it what to do. */
function isTrigger(template: readonly TemplateNode[], { type, wires = [] }: TemplateNode): boolean {
  const targets = wires.flat().map((id) => template.find((node) => node.id === id)?.type);
  if (type === 'inject') return !targets.includes('dbackup-schedule');
  return type === 'dbackup-schedule' || type === 'http in';
}

/** Ids of the nodes behind that one which show a result. */
function reached(template: readonly TemplateNode[], from: string): string[] {
  const met = new Set([from]);
  for (const id of met) {
    for (const next of template.find((node) => node.id === id)?.wires?.flat() ?? []) met.add(next);
  }
  return [...met].filter((id) => {
    const role = nodeSchemas[template.find((node) => node.id === id)?.type ?? '']?.role;
    return role !== undefined && role !== 'transform' && role !== 'trigger' && role !== 'gate';
  });
}
