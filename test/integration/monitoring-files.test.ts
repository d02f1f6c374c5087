import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { METRICS, type MetricName, type MetricSpec } from '../../lib/metrics/catalogue.ts';
import { prometheusLibrary } from '../../lib/metrics/prometheus-library.ts';
import { MetricRegistry } from '../../lib/metrics/registry.ts';
import { RunMetrics } from '../../lib/metrics/run-metrics.ts';
import { setStanding } from '../../lib/metrics/state-metrics.ts';
import { skipBecause } from '../support/skip.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const RULES = join(ROOT, 'docs', 'alert-rules.yml');
const DASHBOARD = join(ROOT, 'docs', 'grafana-dashboard.json');
const RULE_TESTS = join(ROOT, 'test', 'fixtures', 'alert-rules.test.yml');
/** Labels that Prometheus itself gives. */
const TARGET_LABELS = ['instance', 'le'];

interface Dashboard {
  readonly templating: { readonly list: readonly { readonly query?: unknown }[] };
  readonly panels: readonly {
    readonly title: string;
    readonly gridPos: { readonly x: number; readonly w: number };
    readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
  }[];
}

describe('what is given to Prometheus and Grafana', function () {
  this.timeout(60_000);
  const dashboard = JSON.parse(readFileSync(DASHBOARD, 'utf8')) as Dashboard;
  const queries = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  const rules = readFileSync(RULES, 'utf8');
  const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name ?? '');

  before(function () {
    if (spawnSync('promtool', ['--version']).error === undefined) return;
    skipBecause(this, 'promtool is not installed (Debian package prometheus)');
  });

  it('metrics pass promtool check metrics', async () => {
    const registry = new MetricRegistry(await prometheusLibrary());
    const events = new EventEmitter();
    new RunMetrics(registry, events as never, (node) => node).know('shop');
    const watch = { view: { state: 'waiting', next: 2000 }, lookedAt: 0, latenessMs: 0 } as const;
    const schedules = [{ name: 'hourly', watch }];
    const jobs = [{ name: 'shop', state: 'healthy' }] as const;
    const destinations = [{ name: 'near', freeBytes: 1 }];
    setStanding(registry, { now: 0, ready: true, active: [], jobs, destinations, schedules });
    const text = await registry.text();
    for (const name of Object.keys(METRICS)) assert.ok(text.includes(`# TYPE ${name} `), name);
    assert.equal(promtool(['check', 'metrics'], text), '');
  });

  it('alert rules pass promtool check rules', () => {
    assert.match(promtool(['check', 'rules', RULES]), new RegExp(`SUCCESS: ${alerts.length} rules found`));
  });

  it('alert rules fire when they must, by promtool test rules, each of them', () => {
    assert.match(promtool(['test', 'rules', RULE_TESTS]), /SUCCESS/);
    const firing = [
      ...readFileSync(RULE_TESTS, 'utf8').matchAll(/alertname: (\w+)\n\s+exp_alerts:\n\s+- exp_labels/g),
    ].map(([, name]) => name);
    assert.deepEqual([...new Set(firing)].sort(), [...alerts].sort());
  });

  it('alert rules and docs/metrics.md name the same alerts', () => {
    const page = readFileSync(join(ROOT, 'docs', 'metrics.md'), 'utf8');
    const documented = [...page.matchAll(/^\| `(DBackup\w+)` \|/gm)].map(([, name]) => name);
    assert.deepEqual(documented, alerts);
  });

  it('alert rules and the dashboard ask only for metrics and labels that there are', () => {
    const expressions = [...rules.matchAll(/expr: (?:>-\n)?([\s\S]*?)\n +(?:for|labels):/g)].map(
      ([, text]) => text ?? '',
    );
    assert.equal(expressions.length, alerts.length);
    const jobs = dashboard.templating.list.flatMap(({ query }) =>
      query === 'prometheus' ? [] : [JSON.stringify(query)],
    );
    for (const text of [...expressions, ...queries, ...jobs]) checkNames(text);
    const shown = new Set(queries.flatMap(metricsIn));
    const unseen = Object.keys(METRICS).filter((name) => !shown.has(name as MetricName));
    assert.deepEqual(unseen, [
      'dbackup_job_last_run_timestamp_seconds',
      'dbackup_destination_attempts_total',
    ]);
  });

  it('queries of the dashboard are valid, and their legends name labels that the results have', () => {
    const folder = mkdtempSync(join(tmpdir(), 'dbackup-promtool-'));
    try {
      const file = join(folder, 'queries.yml');
      const records = queries.map((expr, index) => ({ record: `query_${index}`, expr: filledIn(expr) }));
      // JSON is YAML.
      writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules: records }] }));
      assert.match(promtool(['check', 'rules', file]), new RegExp(`SUCCESS: ${queries.length} rules found`));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    for (const { targets } of dashboard.panels) {
      for (const { expr, legendFormat } of targets) {
        const kept = /\bby \(([^)]*)\)/.exec(expr)?.[1]?.split(', ') ?? metricsIn(expr).flatMap(labelsOf);
        for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
          assert.ok(kept.includes(label), `${legendFormat} of ${expr}`);
        }
      }
    }
  });
});

function checkNames(text: string): void {
  const names = metricsIn(text);
  assert.ok(names.length > 0, text);
  const known = new Set([...names.flatMap(labelsOf), ...TARGET_LABELS]);
  const matchers = [...text.matchAll(/\{([^}]*)\}/g)].flatMap(
    ([, inside]) => (inside ?? '').match(/\w+(?=\s*[=!]~?)/g) ?? [],
  );
  const grouped = [...text.matchAll(/\b(?:by|on|without|ignoring) \(([^)]*)\)/g)].flatMap(([, inside]) =>
    (inside ?? '').split(', '),
  );
  for (const label of [...matchers, ...grouped]) assert.ok(known.has(label), `${label} in ${text}`);
}

/** The metrics that an expression names. Fails for one that is not exported. */
function metricsIn(text: string): MetricName[] {
  return (text.match(/\bdbackup_\w+/g) ?? []).map((series) => {
    const base = series.replace(/_(?:bucket|sum|count)$/, '');
    const spec: MetricSpec | undefined = METRICS[(series in METRICS ? series : base) as MetricName];
    assert.ok(spec !== undefined, `${series} is not exported`);
    assert.equal(spec.type === 'histogram', series !== base, series);
    return (series in METRICS ? series : base) as MetricName;
  });
}

function labelsOf(name: MetricName): readonly string[] {
  return METRICS[name].labels;
}

/** With values for Grafana's variables. */
function filledIn(expr: string): string {
  return expr.replaceAll('$__rate_interval', '5m').replaceAll('$backup_job', '.*');
}

/** What promtool says. Fails when it finds something wrong. */
function promtool(args: readonly string[], input = ''): string {
  const { status, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
  return stdout + stderr;
}
