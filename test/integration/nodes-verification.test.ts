import assert from 'node:assert/strict';
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BackupEvent } from '../../lib/events/run-event.ts';
import { existingRuntime } from '../../nodes/runtime.ts';
import type { SetSummary } from '../../nodes/set-summary.ts';
import type { FlowEntry } from '../../runner/runtime.ts';
import { type NodesRuntime, payloadOf, startNodes } from '../support/backup-nodes.ts';
import { TemplateEnvironment } from '../support/template-environment.ts';
import { until } from '../support/until.ts';

const TAB: FlowEntry = { id: 'tab', type: 'tab', label: 'Test' };

function node(id: string, type: string, wires: readonly string[], more: object = {}): FlowEntry {
  return { id, type, z: 'tab', name: id, x: 100, y: 100, ...more, wires: [wires] };
}

interface Report {
  readonly set: string;
  readonly ok: boolean;
  readonly files: readonly { readonly found?: string }[];
}

describe('verify and annotate nodes', () => {
  let environment: TemplateEnvironment;
  let nodes: NodesRuntime;
  let events: BackupEvent[];

  const inJob = { storage: 'disk', folder: '', job: 'app' };
  const verify = (more: object = {}) =>
    node('verify', 'dbackup-verify', ['Result'], {
      from: 'latest',
      ...inJob,
      level: 'restore',
      key: '',
      ...more,
    });
  const annotate = (more: object) =>
    node('annotate', 'dbackup-annotate', ['Result'], {
      from: 'message',
      tags: [],
      removeTags: [],
      note: '',
      pin: 'keep',
      ...more,
    });

  async function start(...flow: FlowEntry[]): Promise<void> {
    nodes = await startNodes([
      TAB,
      { id: 'disk', type: 'dbackup-local-storage', name: 'Disk', root: environment.first, create: true },
      node('source', 'dbackup-sqlite', ['local'], { job: 'app', files: [environment.database] }),
      node('local', 'dbackup-local', ['Stored', 'annotate'], { storage: 'disk', folder: '', rate: '' }),
      node('Stored', 'debug', []),
      node('Result', 'debug', []),
      node('catch', 'catch', ['Errors'], { scope: null, uncaught: false }),
      node('Errors', 'debug', []),
      ...flow,
    ]);
    existingRuntime(nodes.runtime)?.happenings.listen((event) => events.push(event));
  }

  /** Backs up once. @returns the folder of the set */
  async function backUp(message: Record<string, unknown> = {}): Promise<string> {
    const before = nodes.recorded('Stored').length;
    nodes.runtime.fire('source', message);
    const stored = await nodes.records('Stored', before + 1);
    return join(environment.first, payloadOf<SetSummary>(stored.at(-1)).set);
  }

  const said = (folder: string) => JSON.parse(readFileSync(join(folder, 'annotations.json'), 'utf8'));
  const failures = () => events.filter(({ event }) => event === 'verification-failed');

  beforeEach(() => {
    environment = new TemplateEnvironment(300);
    events = [];
  });

  afterEach(async () => {
    await nodes.stop();
    environment.remove();
  });

  it('restore for a test, ask, and write down what they have found', async () => {
    await start(verify({ assertions: ['SELECT count(*) FROM item => 300'] }));
    const folder = await backUp();
    nodes.runtime.fire('verify');
    const [message] = await nodes.records('Result', 1);
    const { ok, files } = payloadOf<Report>(message);
    assert.equal(ok, true);
    assert.equal(files[0]?.found, 'restored, 300 rows in 1 table as dumped, 1 assertion held');
    assert.deepEqual(
      said(folder).verifications.map(({ level, ok: good }: { level: string; ok: boolean }) => [level, good]),
      [['restore', true]],
    );
    assert.deepEqual(failures(), []);
    const history = await existingRuntime(nodes.runtime)?.store();
    await existingRuntime(nodes.runtime)?.verifications.idle();
    const [recorded, ...more] = (await history?.verifications.list({ job: 'app' })) ?? [];
    assert.equal(more.length, 0);
    assert.deepEqual(
      [recorded?.level, recorded?.ok, recorded?.storage],
      ['restore', true, `file://${environment.first}`],
    );
  });

  it('mark and tell a set that has not the rows that its manifest says', async () => {
    await start(verify());
    const folder = await backUp();
    const manifest = join(folder, 'manifest.json');
    writeFileSync(manifest, readFileSync(manifest, 'utf8').replace('"rows": 300', '"rows": 301'));
    nodes.runtime.fire('verify');
    await until(() => nodes.recorded('Errors').length === 1);
    const [caught] = nodes.recorded('Errors');
    assert.match(caught?.error?.message ?? '', /item has 300 rows, the dump has 301/);
    assert.equal(payloadOf<Report>(caught).ok, false);
    assert.equal(said(folder).knownBad.level, 'restore');
    const [told, ...more] = failures();
    assert.equal(more.length, 0);
    assert.deepEqual(
      told?.event === 'verification-failed' && [told.job, told.level, told.severity, told.problems.length],
      ['app', 'restore', 'error', 1],
    );
  });

  it('mark nothing when the place for a test restore is not there', async () => {
    await start(verify({ spoolDirectory: join(environment.root, 'missing') }));
    const folder = await backUp();
    nodes.runtime.fire('verify');
    await until(() => nodes.recorded('Errors').length === 1);
    assert.match(nodes.recorded('Errors')[0]?.error?.message ?? '', /for a test restore cannot be made/);
    assert.ok(!readdirSync(folder).includes('annotations.json'));
    assert.deepEqual(failures(), []);
  });

  it('take the set that was not looked at for the longest time, one by chance, or all', async () => {
    await start(
      verify({ from: 'unverified', level: 'hash' }),
      { ...verify({ from: 'all', level: 'manifest' }), id: 'all' },
      { ...verify({ from: 'random', last: 1, level: 'manifest' }), id: 'random' },
    );
    const folders = [await backUp(), await backUp()];
    for (const [count, folder] of [
      [1, folders[0]],
      [2, folders[1]],
      [3, folders[0]],
    ] as const) {
      nodes.runtime.fire('verify');
      const reports = await nodes.records('Result', count);
      assert.equal(join(environment.first, payloadOf<Report>(reports.at(-1)).set), folder);
    }
    nodes.runtime.fire('random');
    const [, , , random] = await nodes.records('Result', 4);
    assert.equal(join(environment.first, payloadOf<Report>(random).set), folders[1]);

    const broken = folders[1] ?? '';
    const file = readdirSync(broken).find((name) => name.startsWith('app.'));
    truncateSync(join(broken, file ?? ''), 5000);
    nodes.runtime.fire('all');
    await until(() => nodes.recorded('Errors').length === 1);
    const { ok, sets } = payloadOf<{ ok: boolean; sets: Report[] }>(nodes.recorded('Errors')[0]);
    assert.deepEqual([ok, sets.map((set) => set.ok)], [false, [false, true]]);
    assert.equal(said(broken).knownBad.level, 'manifest');
    assert.equal(failures().length, 1);
  });

  it('take no older set for the latest, and not the others for all, when one cannot be read', async () => {
    await start(
      verify({ level: 'manifest' }),
      { ...verify({ from: 'all', level: 'manifest' }), id: 'all' },
      { ...annotate({ from: 'latest', ...inJob, tags: ['wrong'] }), id: 'annotateLatest' },
    );
    const [older = '', newer = ''] = [await backUp(), await backUp()];
    writeFileSync(join(newer, 'manifest.json'), '{');
    for (const [count, id] of ['verify', 'annotateLatest', 'all'].entries()) {
      nodes.runtime.fire(id);
      await until(() => nodes.recorded('Errors').length === count + 1);
      assert.match(nodes.recorded('Errors').at(-1)?.error?.message ?? '', /cannot be read/);
    }
    assert.equal(nodes.recorded('Result').length, 0);
    const { ok, sets } = payloadOf<{ ok: boolean; sets: Report[] }>(nodes.recorded('Errors').at(-1));
    assert.deepEqual([ok, sets.map((set) => set.ok)], [false, [true]]);
    assert.deepEqual(said(older).tags, []);
  });

  it('add and remove tags, write a note and pin, by settings and by the message', async () => {
    await start(annotate({ tags: ['nightly'], pin: 'pin' }), {
      ...annotate({ from: 'latest', ...inJob, removeTags: ['nightly'], note: 'It went well', pin: 'unpin' }),
      id: 'later',
    });
    const folder = await backUp({ tags: ['pre-migration'], note: 'Before the move' });
    const [message] = await nodes.records('Result', 1);
    assert.deepEqual(payloadOf(message), {
      set: folder.slice(environment.first.length + 1),
      tags: ['pre-migration', 'nightly'],
      pinned: true,
      note: 'Before the move',
    });
    nodes.runtime.fire('later', { tags: ['migrated'], note: '', pin: true });
    await nodes.records('Result', 2);
    const { tags, note, pinned } = said(folder);
    assert.deepEqual([tags, note, pinned], [['pre-migration', 'migrated'], undefined, true]);
    nodes.runtime.fire('later', { tags: 'migrated' });
    await until(() => nodes.recorded('Errors').length === 1);
    assert.match(
      nodes.recorded('Errors')[0]?.error?.message ?? '',
      /msg\.tags and msg\.removeTags are lists/,
    );
  });
});
