import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Anomaly } from '../../lib/anomalies/guard.ts';
import type { Annotations } from '../../lib/backupset/annotation-format.ts';
import { readAnnotations, updateAnnotations } from '../../lib/backupset/annotations.ts';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import type { BackupEvent } from '../../lib/events/run-event.ts';
import { existingRuntime } from '../../nodes/runtime.ts';
import type { FlowEntry } from '../../runner/runtime.ts';
import { type NodesRuntime, startNodes, template } from '../support/backup-nodes.ts';
import { plantSet, putObject } from '../support/planted-sets.ts';
import { TemplateEnvironment } from '../support/template-environment.ts';

const DAY = 86_400_000;
const { signal } = new AbortController();
const NOTHING_ELSE = { keepHourly: 0, keepDaily: 0, keepWeekly: 0, keepMonthly: 0, keepYearly: 0 };

describe('the guard node in Node-RED', () => {
  let environment: TemplateEnvironment;
  let nodes: NodesRuntime | undefined;
  let flows: FlowEntry[];
  let events: BackupEvent[];

  beforeEach(() => {
    environment = new TemplateEnvironment(400);
    mkdirSync(environment.first);
    events = [];
  });

  afterEach(async () => {
    await nodes?.stop();
    nodes = undefined;
    environment.remove();
  });

  const storage = () => createLocalDestination({ root: environment.first, reserveMiB: 0 });
  const stored = () => readdirSync(join(environment.first, 'app')).map((name) => `app/${name}`);
  const annotationsOf = async (path = ''): Promise<Annotations> =>
    (await readAnnotations(storage(), path, { signal })).value;

  const started = () => {
    assert.ok(nodes !== undefined);
    return nodes;
  };

  /** The template, with other settings in its guard and retention nodes. */
  const start = async (guard: object = {}, retention: object = { keepLast: 2, ...NOTHING_ELSE }) => {
    flows = template('38-guard').map((entry) => {
      if (entry.type === 'dbackup-retention') return { ...entry, ...retention };
      return entry.type === 'dbackup-guard' ? { ...entry, runs: 3, ...guard } : entry;
    });
    nodes = await startNodes(flows);
    existingRuntime(nodes.runtime)?.happenings.listen((event) => events.push(event));
  };
  const fire = (name: string) => started().runtime.fire(flows.find((entry) => entry.name === name)?.id ?? '');
  const anomalyOf = (message: unknown): Anomaly => (message as { anomaly: Anomaly }).anomaly;
  const errorOf = (message: unknown): string => (message as { error: { message: string } }).error.message;
  const summaryOf = (message: unknown): string => (message as { payload: BackupEvent }).payload.summary;

  /** Runs the nightly backup, and waits for what comes out behind the retention node. */
  const backUp = async (nth: number) => {
    fire('Every night at 02:30');
    const messages = await started().records('Result', nth);
    await started().runtime.tracker.idle();
    await existingRuntime(started().runtime)?.engine.idle();
    return anomalyOf(messages[nth - 1]);
  };

  /** Nine of ten rows are lost; the file is made smaller only if wanted. */
  const loseRows = (vacuum: boolean) => {
    const database = new Database(environment.database);
    database.exec('DELETE FROM item WHERE id % 10 <> 0');
    if (vacuum) database.exec('VACUUM');
    database.close();
  };

  it('38: has nothing to compare with while there are too few good sets, and says how many there are', async () => {
    await start();
    for (const [nth, compared] of [0, 1, 2].entries()) {
      const anomaly = await backUp(nth + 1);
      assert.deepEqual([anomaly.verdict, anomaly.compared, anomaly.needed], ['unknown', compared, 3]);
      // The template keeps two: the third has only these to compare with.
      assert.equal(stored().length, Math.min(nth + 1, 2));
    }
    assert.deepEqual(started().recorded('Suspicious'), []);
  }).timeout(60_000);

  it('38: sends a backup that lost nine tenths of its rows to the second output, tells, logs and marks it, and no such pushes good ones out', async () => {
    await start({}, { keepLast: 4, ...NOTHING_ELSE });
    for (const nth of [1, 2, 3]) await backUp(nth);
    assert.equal((await backUp(4)).verdict, 'fine');
    const good = new Set(stored());
    assert.deepEqual(started().recorded('Suspicious'), []);

    loseRows(false);
    const anomaly = await backUp(5);
    assert.equal(anomaly.verdict, 'suspicious');
    assert.deepEqual(
      anomaly.findings.map(({ kind, table, value, expected }) => [kind, table, value, expected]),
      [['rows', 'item', 40, 400]],
    );
    const [message] = await started().records('Suspicious', 1);
    assert.match(summaryOf(message), /the table item has 40 rows/);
    assert.deepEqual(JSON.parse(JSON.stringify(message)), message);
    const { suspicious } = await annotationsOf(anomaly.set);
    assert.match(suspicious?.reason ?? '', /the table item has 40 rows, usual are 400 rows/);
    const [event] = events.filter((told) => told.event === 'anomaly');
    assert.ok(event?.event === 'anomaly');
    assert.deepEqual([event.job, event.path, event.severity], ['app', anomaly.set, 'warning']);
    assert.match(event.summary, /^The backup of app is unusual: .*app\.sqlite: the table item has 40 rows/);
    const store = await existingRuntime(started().runtime)?.store();
    const log = await store?.log(event.runId ?? '');
    assert.ok(log?.lines.some(({ level, message: line }) => level === 'warn' && line === event.summary));

    // The size comes to be unusual, too. However many such backups come, the four good ones stay.
    loseRows(true);
    for (const nth of [6, 7, 8, 9, 10]) assert.equal((await backUp(nth)).verdict, 'suspicious');
    const left = new Set(stored());
    for (const path of good) assert.ok(left.has(path), `${path} was pushed out`);
    const { findings } = anomalyOf(started().recorded('Result').at(-1));
    assert.deepEqual(
      findings.map(({ kind }) => kind),
      ['size', 'rows'],
    );
  }).timeout(120_000);

  it('begins a new series with a set that a person calls normal', async () => {
    await start({}, { keepLast: 20, ...NOTHING_ELSE });
    for (const nth of [1, 2, 3]) await backUp(nth);
    loseRows(true);
    const { set = '', verdict } = await backUp(4);
    assert.equal(verdict, 'suspicious');
    const tagged = (current: Annotations) => ({ ...current, tags: ['normal'] });
    await updateAnnotations(storage(), set, tagged, { signal });
    const next = await backUp(5);
    assert.deepEqual([next.verdict, next.compared], ['unknown', 1]);
    await backUp(6);
    assert.equal((await backUp(7)).verdict, 'fine');
  }).timeout(60_000);

  it('compares with good sets only: not with partial, bad, suspicious, unreadable and renamed ones', async () => {
    const job = 'app';
    const age = (days: number) => Date.now() - days * DAY;
    for (const days of [10, 11]) await plantSet(storage(), age(days), { job });
    await plantSet(storage(), age(5), { job, partial: true });
    const since = new Date(age(4)).toISOString();
    const knownBad = { since, reason: 'it does not hold', level: 'hash' as const };
    await plantSet(storage(), age(4), { job, annotations: { knownBad } });
    await plantSet(storage(), age(3), { job, annotations: { suspicious: { since, reason: 'it is small' } } });
    const unreadable = await plantSet(storage(), age(2), { job });
    await putObject(storage(), `${unreadable}/manifest.json`, Buffer.from('{'));
    const renamed = await plantSet(storage(), age(12), { job });
    renameSync(join(environment.first, renamed), join(environment.first, 'app/kept-by-hand'));
    const newest = await plantSet(storage(), age(1), { job });
    await start({ maxAgeHours: 26, runs: 3 });
    fire('Every day at 08:00');
    const [message] = await started().records('As usual', 1);
    const anomaly = anomalyOf(message);
    assert.deepEqual([anomaly.set, anomaly.verdict, anomaly.compared], [newest, 'unknown', 2]);
    assert.equal(started().lines.filter(({ message: line }) => /is left out/.test(line)).length > 0, true);
  });

  it('tells that there was no good backup for too long, or none at all, and marks no set for it', async () => {
    await start({ maxAgeHours: 26, runs: 2 });
    fire('Every day at 08:00');
    const [none] = await started().records('Not as usual', 1);
    assert.deepEqual([anomalyOf(none).findings[0]?.kind, anomalyOf(none).set], ['age', undefined]);
    const paths: string[] = [];
    for (const days of [2, 3, 4])
      paths.push(await plantSet(storage(), Date.now() - days * DAY, { job: 'app' }));
    fire('Every day at 08:00');
    const [, late] = await started().records('Not as usual', 2);
    assert.equal(anomalyOf(late).set, paths[0]);
    assert.match(summaryOf(late), /unusual: no success since .*, 48 h 00 min ago/);
    assert.equal((await annotationsOf(paths[0])).suspicious, undefined);
    await plantSet(storage(), Date.now() - 1000 * 3600, { job: 'app' });
    fire('Every day at 08:00');
    const [fine] = await started().records('As usual', 1);
    assert.equal(anomalyOf(fine).verdict, 'fine');
  });

  it('takes back what it has found itself, and not what another guard with closer limits has', async () => {
    const path = await plantSet(storage(), Date.now() - DAY, { job: 'app' });
    for (const days of [2, 3, 4]) await plantSet(storage(), Date.now() - days * DAY, { job: 'app' });
    const given = template('38-guard');
    const schedule = given.find(({ name }) => name === 'Every day at 08:00') ?? assert.fail();
    const guard = given.find(({ name }) => name === 'Backed up lately?') ?? assert.fail();
    const loose = { ...guard, runs: 3, maxAgeHours: 0 };
    const onStrict = { id: 'strict', minMegabytes: 1000 };
    const placed = { z: guard.z ?? '', x: 100, y: 100 };
    flows = [
      ...given.filter((entry) => entry !== guard),
      loose,
      { ...loose, ...onStrict },
      { ...schedule, id: 'noon', name: 'Every day at noon', wires: [['strict']] },
      { ...placed, id: 'shown', type: 'status', scope: [guard.id], wires: [['Shown']] },
      { ...placed, id: 'Shown', type: 'debug', name: 'Shown', wires: [] },
    ];
    nodes = await startNodes(flows);

    fire('Every day at noon');
    await started().records('Not as usual', 1);
    fire('Every day at 08:00');
    const [fine] = await started().records('As usual', 1);
    assert.equal(anomalyOf(fine).verdict, 'fine');
    assert.match((await annotationsOf(path)).suspicious?.reason ?? '', /less than the least/);
    assert.match(anomalyOf(fine).others ?? '', /less than the least/);
    const [, shown] = (await started().records('Shown', 2)) as { status?: { fill: string; text: string } }[];
    assert.equal(shown?.status?.fill, 'yellow');
    assert.match(shown?.status?.text ?? '', /as usual · suspicious to others/);
  });

  it('takes back its own mark when the set is as usual by other limits', async () => {
    const path = await plantSet(storage(), Date.now() - DAY, { job: 'app' });
    for (const days of [2, 3]) await plantSet(storage(), Date.now() - days * DAY, { job: 'app' });
    await start({ maxAgeHours: 0, runs: 2, minMegabytes: 1000 });
    fire('Every day at 08:00');
    await started().records('Not as usual', 1);
    await started().stop();
    await start({ maxAgeHours: 0, runs: 2 });
    fire('Every day at 08:00');
    const [fine] = await started().records('As usual', 1);
    assert.equal(anomalyOf(fine).others, undefined);
    assert.equal((await annotationsOf(path)).suspicious, undefined);
  });

  it('fails when there is no set to judge, and when a suspicious one cannot be marked', async () => {
    await start({ maxAgeHours: 0, minMegabytes: 1000 });
    fire('Every day at 08:00');
    const [failed] = await started().records('Errors', 1);
    assert.match(errorOf(failed), /holds no backup set of the job app/);
    const path = await plantSet(storage(), Date.now() - DAY, { job: 'app' });
    mkdirSync(join(environment.first, path, 'annotations.json'));
    fire('Every day at 08:00');
    const [, unmarked] = await started().records('Errors', 2);
    assert.match(errorOf(unmarked), /suspicious, and that could not be noted/);
    assert.equal(anomalyOf(unmarked).verdict, 'suspicious');
    assert.deepEqual(started().recorded('Not as usual'), []);
    assert.equal(events.filter(({ event }) => event === 'anomaly').length, 1, 'it is told all the same');
    rmSync(join(environment.first, path, 'annotations.json'), { recursive: true });
  });
});
