import type { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { METRICS, type MetricName, type MetricSpec } from './catalogue.ts';
import { LabelBound } from './label-bound.ts';
import type { PrometheusLibrary } from './prometheus-library.ts';

/** Values of one label that are kept apart. */
const MOST_VALUES = 200;

type Labels = Readonly<Record<string, string>>;
type Metric = Counter | Gauge | Histogram;

/** The metrics of the catalogue in a registry of their own, with bounded labels. */
export class MetricRegistry {
  readonly #registry: Registry;
  readonly #metrics = new Map<string, Metric>();
  readonly #bounds = new Map<string, LabelBound>();

  constructor(library: PrometheusLibrary) {
    this.#registry = new library.Registry();
    const registers = [this.#registry];
    for (const [name, spec] of Object.entries(METRICS) as [MetricName, MetricSpec][]) {
      const { type, help, labels, buckets = [] } = spec;
      const options = { name, help, labelNames: [...labels], registers };
      this.#metrics.set(name, make(library, type, options, buckets));
    }
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Prometheus' text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** Adds to a counter; 0 makes it known. */
  add(name: MetricName, labels: Labels, value = 1): void {
    (this.#metrics.get(name) as Counter).inc(this.#bounded(labels), value);
  }

  set(name: MetricName, labels: Labels, value: number): void {
    (this.#metrics.get(name) as Gauge).set(this.#bounded(labels), value);
  }

  observe(name: MetricName, labels: Labels, value: number): void {
    (this.#metrics.get(name) as Histogram).observe(this.#bounded(labels), value);
  }

  /** Forgets all values of a gauge. */
  clear(name: MetricName): void {
    this.#metrics.get(name)?.reset();
  }

  /** Forgets one value of a gauge. */
  forget(name: MetricName, labels: Labels): void {
    this.#metrics.get(name)?.remove(this.#bounded(labels));
  }

  #bounded(labels: Labels): Record<string, string> {
    return Object.fromEntries(
      Object.entries(labels).map(([label, value]) => {
        const bound = this.#bounds.get(label) ?? new LabelBound(MOST_VALUES);
        this.#bounds.set(label, bound);
        return [label, bound.value(value)];
      }),
    );
  }
}

interface MetricOptions {
  readonly name: string;
  readonly help: string;
  readonly labelNames: string[];
  readonly registers: Registry[];
}

function make(
  library: PrometheusLibrary,
  type: MetricSpec['type'],
  options: MetricOptions,
  buckets: readonly number[],
): Metric {
  switch (type) {
    case 'counter':
      return new library.Counter(options);
    case 'gauge':
      return new library.Gauge(options);
    case 'histogram':
      return new library.Histogram({ ...options, buckets: [...buckets] });
  }
}
