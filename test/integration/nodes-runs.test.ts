import assert from 'node:assert/strict';
import { existsSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SetSummary } from '../../nodes/set-summary.ts';
import type { FlowEntry } from '../../runner/runtime.ts';
import { type NodesRuntime, payloadOf, startNodes } from '../support/backup-nodes.ts';
import { rowsOf, TemplateEnvironment } from '../support/template-environment.ts';
import { until } from '../support/until.ts';

const TAB: FlowEntry = { id: 'tab', type: 'tab', label: 'Test' };

function node(id: string, type: string, wires: readonly string[], more: object = {}): FlowEntry {
  return { id, type, z: 'tab', name: id, x: 100, y: 100, ...more, wires: [wires] };
}

describe('backup nodes in Node-RED', () => {
  let environment: TemplateEnvironment;
  let nodes: NodesRuntime;

  const storage = () => ({
    id: 'disk',
    type: 'dbackup-local-storage',
    name: 'Disk',
    root: environment.first,
    create: true,
  });
  const source = (files: readonly string[], ...wires: string[]) =>
    node('source', 'dbackup-sqlite', wires, { job: 'app', files });
  const local = (wires: readonly string[], more: object = {}) =>
    node('local', 'dbackup-local', wires, { storage: 'disk', folder: '', rate: '', ...more });
  const ends = [
    node('Result', 'debug', []),
    node('catch', 'catch', ['Errors'], { scope: null, uncaught: false }),
    node('Errors', 'debug', []),
    node('status', 'status', ['Status'], { scope: ['source', 'local'] }),
    node('Status', 'debug', []),
  ];
  const start = async (...flow: FlowEntry[]) => {
    nodes = await startNodes([TAB, storage(), ...ends, ...flow]);
  };
  const errors = () => nodes.recorded('Errors').map(({ error }) => error?.message);
  const setsOf = () => {
    const folder = join(environment.first, 'app');
    return existsSync(folder) ? readdirSync(folder) : [];
  };

  beforeEach(() => {
    environment = new TemplateEnvironment(3000);
  });

  afterEach(async () => {
    await nodes.stop();
    environment.remove();
  });

  it('store what can be stored when one database fails, and report that one once', async () => {
    const broken = join(environment.root, 'broken.sqlite');
    writeFileSync(broken, 'this is no database');
    await start(source([environment.database, broken], 'local'), local(['Result']));
    nodes.runtime.fire('source', { topic: 'nightly' });
    const [message] = await nodes.records('Result', 1);
    await nodes.runtime.tracker.idle();
    const summary = payloadOf<SetSummary>(message);
    assert.equal(summary.status, 'partial');
    assert.deepEqual(
      summary.databases.map(({ status }) => status),
      ['ok', 'failed'],
    );
    const [caught, ...more] = nodes.recorded('Errors');
    assert.equal(more.length, 0, errors().join('\n'));
    assert.match(caught?.error?.message ?? '', /^broken/);
    assert.equal(caught?.topic, 'nightly', 'the Catch node gets the message that started the backup');
    assert.equal((caught?.backup as { runId?: string } | undefined)?.runId, summary.runId);
  });

  it('report at the destination when nothing could be stored, and show it', async () => {
    await start(source([join(environment.root, 'missing.sqlite')], 'local'), local(['Result']));
    nodes.runtime.fire('source');
    await until(() => nodes.recorded('Errors').length >= 2);
    await nodes.runtime.tracker.idle();
    assert.deepEqual(nodes.recorded('Result'), []);
    assert.deepEqual(setsOf(), []);
    const shown = nodes.recorded('Status').map(({ status }) => (status as { text?: string }).text ?? '');
    assert.ok(
      shown.some((text) => text.startsWith('✗')),
      shown.join('\n'),
    );
  });

  it('go on through a deploy of the same tab, and send by the new node', async () => {
    const slow = [source([environment.database], 'local'), local(['Result'], { rate: '2' })];
    await start(...slow);
    nodes.runtime.fire('source');
    await until(() =>
      nodes.recorded('Status').some(({ status }) => /MB/.test((status as { text: string }).text)),
    );
    assert.deepEqual(nodes.recorded('Result'), [], 'the backup still runs');
    await nodes.runtime.deploy([TAB, storage(), ...ends, ...slow].map(recorderForDebug), 'full');
    const [message] = await nodes.records('Result', 1);
    assert.equal(payloadOf<SetSummary>(message).status, 'complete');
    assert.deepEqual(errors(), []);
    assert.equal(setsOf().length, 1);
  });

  it('cancel a run by a message to its source', async () => {
    await start(source([environment.database], 'local'), local(['Result'], { rate: '1' }));
    nodes.runtime.fire('source');
    await until(() =>
      nodes.recorded('Status').some(({ status }) => /MB/.test((status as { text: string }).text)),
    );
    nodes.runtime.fire('source', { topic: 'cancel' });
    await until(() => nodes.recorded('Errors').length > 0);
    await nodes.runtime.tracker.idle();
    assert.match(errors().join(), /was cancelled/);
    assert.deepEqual(nodes.recorded('Result'), []);
    assert.deepEqual(setsOf(), []);
  });

  it('warn when there is nothing to cancel', async () => {
    await start(source([environment.database], 'local'), local(['Result']));
    nodes.runtime.fire('source', { cancel: true });
    await nodes.runtime.tracker.idle();
    assert.ok(nodes.lines.some(({ message }) => message === 'There is no run to cancel'));
    assert.deepEqual(setsOf(), []);
  });

  it('refuse a message that belongs to no backup, saying what is missing', async () => {
    await start(
      node('zstd', 'dbackup-compress', ['local'], { algorithm: 'zstd', level: '' }),
      local(['Result']),
      node('verify', 'dbackup-verify', ['Result'], { from: 'message', level: 'hash', key: '' }),
    );
    for (const id of ['zstd', 'local', 'verify']) nodes.runtime.fire(id);
    await until(() => nodes.recorded('Errors').length === 3);
    for (const error of errors())
      assert.match(error ?? '', /belongs to no backup .*wire a source node before it/);
  });

  it('start with a node that is not set up, and refuse its messages', async () => {
    await start(source([], 'local'), local(['Result'], { rate: 'fast', storage: 'gone' }));
    nodes.runtime.fire('source');
    nodes.runtime.fire('local');
    await until(() => nodes.recorded('Errors').filter(({ _msgid }) => _msgid !== undefined).length >= 2);
    const told = errors().join('\n');
    assert.match(told, /dbackup-sqlite "source" is not set up: files is missing/);
    assert.match(told, /dbackup-local "local" is not set up: rate must be a number/);
  });

  it('name the storage that a destination refers to in vain', async () => {
    await start(source([environment.database], 'local'), local(['Result'], { storage: 'gone' }));
    nodes.runtime.fire('source');
    await until(() =>
      errors().some((error) => /The storage that this node refers to is missing/.test(error ?? '')),
    );
  });

  it('find what was damaged after it was stored, with the report in the message', async () => {
    await start(
      source([environment.database], 'local'),
      local(['Result']),
      node('verify', 'dbackup-verify', ['Result'], {
        from: 'latest',
        storage: 'disk',
        folder: '',
        job: 'app',
        level: 'hash',
        key: '',
      }),
    );
    nodes.runtime.fire('source');
    const [message] = await nodes.records('Result', 1);
    const folder = join(environment.first, payloadOf<SetSummary>(message).set);
    const file = readdirSync(folder).find((name) => name.startsWith('app.'));
    truncateSync(join(folder, file ?? ''), 5000);
    nodes.runtime.fire('verify');
    await until(() => nodes.recorded('Errors').length > 0);
    const [caught] = nodes.recorded('Errors');
    assert.match(caught?.error?.message ?? '', /1 of 1 files of set app\/.* did not pass: app/);
    assert.equal(payloadOf<{ ok: boolean }>(caught).ok, false);
    assert.equal(nodes.recorded('Result').length, 1);
  });

  it('restore over an existing database only when told to, and keep what was there', async () => {
    const restore = (id: string, overwrite: string) =>
      node(id, 'dbackup-restore', ['Result'], {
        from: 'message',
        database: '',
        target: environment.second,
        overwrite,
        safetyCopy: true,
        key: '',
      });
    await start(
      source([environment.database], 'local'),
      local(['refuse', 'replace']),
      restore('refuse', 'refuse'),
      restore('replace', 'replace'),
    );
    const before = rowsOf(environment.second);
    nodes.runtime.fire('source');
    const [message] = await nodes.records('Result', 1);
    await until(() => nodes.recorded('Errors').length === 1);
    assert.match(errors().join(), /users\.sqlite/);
    const { safetyCopy } = payloadOf<{ safetyCopy: string }>(message);
    assert.deepEqual(rowsOf(environment.second), rowsOf(environment.database));
    assert.deepEqual(rowsOf(safetyCopy), before);
  });
});

function recorderForDebug(entry: FlowEntry): FlowEntry {
  return entry.type === 'debug' ? { ...entry, type: 'test-recorder' } : entry;
}
