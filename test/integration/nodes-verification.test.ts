import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
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
  readonly stillBad?: string;
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

  it('keep the mark of an assertion that failed, until it is asked again and holds', async () => {
    const first = 'SELECT count(*) FROM item => 200';
    await start(
      verify({ assertions: [first] }),
      { ...verify(), id: 'plain' },
      { ...verify({ level: 'hash' }), id: 'hash' },
      {
        ...verify({ assertions: ['SELECT count(*) FROM item => > 0', `[else.sqlite] ${first}`] }),
        id: 'other',
      },
      { ...verify({ assertions: [`[app.sqlite] ${first}`] }), id: 'same' },
      node('shown', 'status', ['Shown'], { scope: ['plain'] }),
      node('Shown', 'debug', []),
    );
    const folder = await backUp();
    const annotations = join(folder, 'annotations.json');
    nodes.runtime.fire('verify');
    await until(() => nodes.recorded('Errors').length === 1);
    const { knownBad } = said(folder);
    assert.deepEqual(knownBad.assertions, [{ database: 'app.sqlite', text: first }]);
    for (const [index, id] of ['hash', 'plain', 'other'].entries()) {
      nodes.runtime.fire(id);
      const report = payloadOf<Report>((await nodes.records('Result', index + 1)).at(-1));
      assert.equal(report.ok, true);
      assert.match(report.stillBad ?? '', /asks again what failed.*\[app\.sqlite\] SELECT count/);
      assert.deepEqual(said(folder).knownBad, knownBad);
    }
    assert.ok(nodes.lines.some(({ message }) => /holds, but stays known as bad/.test(message)));
    const shown = nodes.recorded('Shown').at(-1) as { status?: { fill: string; text: string } };
    assert.equal(shown.status?.fill, 'yellow');
    assert.match(shown.status?.text ?? '', /stays known as bad/);

    // The same set, of a database that answers as it should.
    const marked = readFileSync(annotations);
    const database = new Database(environment.database);
    database.exec('DELETE FROM item WHERE id > 200');
    database.close();
    const second = await backUp();
    cpSync(second, folder, { recursive: true });
    rmSync(second, { recursive: true });
    writeFileSync(annotations, marked);
    nodes.runtime.fire('same');
    const report = payloadOf<Report>((await nodes.records('Result', 4)).at(-1));
    assert.deepEqual([report.ok, report.stillBad], [true, undefined]);
    assert.equal(said(folder).knownBad, undefined);
  });

  it('forget assertions that were wrong when the message says so, where they are asked at all', async () => {
    await start(
      verify({ assertions: ['SELECT 1 => 2'] }),
      { ...verify(), id: 'plain' },
      {
        ...verify({ level: 'content' }),
        id: 'content',
      },
    );
    const folder = await backUp();
    nodes.runtime.fire('verify');
    await until(() => nodes.recorded('Errors').length === 1);
    nodes.runtime.fire('content', { forgetAssertions: true });
    nodes.runtime.fire('plain', { forgetAssertions: 'yes' });
    await until(() => nodes.recorded('Errors').length === 3);
    for (const caught of nodes.recorded('Errors').slice(1))
      assert.match(caught?.error?.message ?? '', /msg\.forgetAssertions is true or false/);
    assert.notEqual(said(folder).knownBad, undefined);
    nodes.runtime.fire('plain', { forgetAssertions: true });
    const report = payloadOf<Report>((await nodes.records('Result', 1)).at(-1));
    assert.deepEqual([report.ok, report.stillBad], [true, undefined]);
    assert.equal(said(folder).knownBad, undefined);
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
