import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import type { BackupEvent } from '../../lib/events/run-event.ts';
import type { RetentionReport } from '../../nodes/retention/retention-report.ts';
import { existingRuntime } from '../../nodes/runtime.ts';
import type { FlowEntry } from '../../runner/runtime.ts';
import { idOf, type NodesRuntime, payloadOf, startNodes, template } from '../support/backup-nodes.ts';
import { plantSet, putObject } from '../support/planted-sets.ts';
import { TemplateEnvironment } from '../support/template-environment.ts';

const DAY = 86_400_000;

type Recorded = ReturnType<NodesRuntime['recorded']>[number] | undefined;

function reportOf(message: Recorded): RetentionReport {
  assert.ok(message?.retention);
  return message.retention as RetentionReport;
}

function errorOf(message: Recorded): string {
  assert.ok(message?.error);
  return (message.error as { message: string }).message;
}

describe('the retention node in Node-RED', () => {
  let environment: TemplateEnvironment;
  let nodes: NodesRuntime | undefined;
  let events: BackupEvent[];

  beforeEach(() => {
    environment = new TemplateEnvironment(5);
    mkdirSync(environment.first);
    events = [];
  });

  afterEach(async () => {
    await nodes?.stop();
    nodes = undefined;
    environment.remove();
  });

  const storage = () => createLocalDestination({ root: environment.first, reserveMiB: 0 });
  const plant = async (days: readonly number[], more: Parameters<typeof plantSet>[2] = {}) => {
    const paths: string[] = [];
    for (const age of days)
      paths.push(await plantSet(storage(), Date.now() - age * DAY, { job: 'app', ...more }));
    return paths;
  };
  const stored = () => readdirSync(join(environment.first, 'app')).map((name) => `app/${name}`);

  /** The template, with other settings in its retention nodes. */
  const start = async (settings: object = {}, more: (flow: FlowEntry[]) => FlowEntry[] = (flow) => flow) => {
    const flows = template('30-retention').map((entry) =>
      entry.type === 'dbackup-retention' ? { ...entry, zone: 'UTC', ...settings } : entry,
    );
    nodes = await startNodes(more(flows));
    existingRuntime(nodes.runtime)?.happenings.listen((event) => events.push(event));
    return flows;
  };
  const fire = (flows: FlowEntry[], name: string) =>
    nodes?.runtime.fire(flows.find((entry) => entry.name === name)?.id ?? '');
  const ended = async () => {
    await nodes?.runtime.tracker.idle();
    await existingRuntime(nodes?.runtime ?? ({} as never))?.engine.idle();
  };

  it('30: prunes after the backup, and tells in a dry run what it would do', async () => {
    const paths = await plant([1, 2, 3, 40, 41, 400]);
    const pinned = await plant([50], { annotations: { pinned: true } });
    const flows = await start({ keepLast: 2, keepDaily: 0, keepWeekly: 0, keepMonthly: 2, keepYearly: 0 });
    fire(flows, 'What would go?');
    const [dry] = await (nodes as NodesRuntime).records('Verdicts', 1);
    const would = reportOf(dry);
    assert.equal(would.dryRun, true);
    assert.equal(stored().length, 7);
    fire(flows, 'Every night at 02:30');
    const [message] = await (nodes as NodesRuntime).records('Result', 1);
    const report = reportOf(message);
    assert.deepEqual(nodes?.recorded('Errors'), []);
    assert.equal(report.dryRun, false);
    assert.equal(report.job, 'app');
    assert.equal(report.kept + report.removed, 8);
    assert.match(report.sets[0]?.verdict ?? '', /^kept: newest good set, last 1 of 2, monthly 20/);
    assert.deepEqual(new Set(stored()), new Set(report.sets.flatMap(({ set, kept }) => (kept ? [set] : []))));
    assert.ok(stored().includes(pinned[0] ?? '') && !stored().includes(paths[5] ?? ''));
    assert.equal(report.freedBytes, report.removed * 41);
    assert.deepEqual(JSON.parse(JSON.stringify(report)), report);
    assert.equal(payloadOf<{ job: string }>(message).job, 'app', 'what the destination said goes on');
    assert.deepEqual(
      events.filter(({ event }) => event === 'prune-refused'),
      [],
    );
  });

  it('counts the set that its message brings, though its run still goes on', async () => {
    await plant([1]);
    const flows = await start({ keepLast: 1, keepDaily: 0, keepWeekly: 0, keepMonthly: 0, keepYearly: 0 });
    fire(flows, 'Every night at 02:30');
    const [message] = await (nodes as NodesRuntime).records('Result', 1);
    assert.deepEqual(
      reportOf(message).sets.map(({ kept }) => kept),
      [true, false],
    );
    assert.equal(stored().length, 1);
  });

  it('removes nothing after a partial backup, unless that is allowed', async () => {
    await plant([1, 2]);
    const twoFiles = (flow: FlowEntry[]) =>
      flow.map((entry) =>
        entry.type === 'dbackup-sqlite'
          ? { ...entry, files: [environment.database, join(environment.root, 'broken.sqlite')] }
          : entry,
      );
    writeFileSync(
      join(environment.root, 'broken.sqlite'),
      'no database at all, but long enough to be looked at',
    );
    const keeping = { keepLast: 1, keepDaily: 0, keepWeekly: 0, keepMonthly: 0, keepYearly: 0 };
    const flows = await start(keeping, twoFiles);
    fire(flows, 'Every night at 02:30');
    const [message] = await (nodes as NodesRuntime).records('Result', 1);
    assert.deepEqual(message?.retention, { skipped: 'partial' });
    assert.equal(stored().length, 3);
    await nodes?.stop();
    await start({ ...keeping, afterPartial: true }, twoFiles);
    fire(flows, 'Every night at 02:30');
    const [pruned] = await (nodes as NodesRuntime).records('Result', 1);
    const report = reportOf(pruned);
    // Of the two partial ones the newest, and the newest good one.
    assert.deepEqual(
      report.sets.map(({ status, kept }) => [status, kept]),
      [
        ['partial', true],
        ['partial', false],
        ['complete', true],
        ['complete', false],
      ],
    );
  });

  it('removes nothing when a set cannot be read: the error, an event and the report tell so', async () => {
    const [first = ''] = await plant([1, 2, 3]);
    await putObject(storage(), `${first}/manifest.json`, Buffer.from('{}'));
    const flows = await start({ keepLast: 1, keepDaily: 0, keepWeekly: 0, keepMonthly: 0, keepYearly: 0 });
    fire(flows, 'Every night at 02:30');
    const [failed] = await (nodes as NodesRuntime).records('Errors', 1);
    await ended();
    assert.match(errorOf(failed), /cannot be read, so that nothing is removed/);
    assert.match(reportOf(failed).error?.message ?? '', /cannot be read/);
    assert.deepEqual(nodes?.recorded('Result'), []);
    assert.equal(stored().length, 4);
    const [event] = events.filter((told) => told.event === 'prune-refused');
    assert.ok(event?.event === 'prune-refused');
    assert.deepEqual([event.job, event.storage, event.severity], ['app', storage().describe(), 'warning']);
    assert.match(event.summary, /^Old backups of app in file:.* were not removed: One set of the job app/);
    rmSync(join(environment.first, first), { recursive: true });
    fire(flows, 'Every night at 02:30');
    await (nodes as NodesRuntime).records('Result', 1);
    assert.equal(stored().length, 1);
  });

  it('refuses to start with a policy that keeps nothing', async () => {
    await start({ keepLast: 0, keepDaily: 0, keepWeekly: 0, keepMonthly: 0, keepYearly: 0 });
    const messages = nodes?.lines.map(({ message }) => message) ?? [];
    assert.ok(
      messages.some((message) => /not set up: The retention policy keeps nothing/.test(message)),
      messages.join('\n'),
    );
  });

  it('says so when its message brings no set', async () => {
    const flows = await start({}, (flow) =>
      flow.map((entry) =>
        entry.type === 'dbackup-compress' ? { ...entry, wires: [[idOf(flow, 'dbackup-retention')]] } : entry,
      ),
    );
    fire(flows, 'Every night at 02:30');
    const [failed] = await (nodes as NodesRuntime).records('Errors', 1);
    assert.match(errorOf(failed), /is not stored yet: wire this node after a destination/);
  });
});
