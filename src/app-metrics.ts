import type { Logger } from 'pino';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';

/** One figure of a metric. */
export interface Sample {
  /** Those that the metric names; none for one without labels. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What is measured: read when somebody asks, and kept by whoever it is about. */
export interface Metric {
  /** After the conventions of Prometheus: a counter ends in _total, others in their unit. */
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly labels?: readonly string[];
  /** What cannot be found out now is left out of the answer. */
  read(): Iterable<Sample> | Promise<Iterable<Sample>>;
}

/** Everything that this process tells of itself in figures. */
export interface Metrics {
  add(metrics: readonly Metric[]): void;
  /** All metrics in the text format of Prometheus. */
  render(): Promise<{ readonly contentType: string; readonly text: string }>;
}

/** Makes a registry of its own: several in one process know nothing of each other. */
export function createMetrics(log: Logger): Metrics {
  const registry = new Registry();
  let isAsked = false;
  return {
    add(metrics) {
      for (const metric of metrics) register(registry, metric, log);
    },
    async render() {
      // Not before somebody asks: it watches the event loop a hundred times a second from then on.
      if (!isAsked) collectDefaultMetrics({ register: registry });
      isAsked = true;
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
  };
}

function register(registry: Registry, metric: Metric, log: Logger): void {
  const { name, help, labels: labelNames = [] } = metric;
  const options = { name, help, labelNames: [...labelNames], registers: [registry] };
  const read = async (): Promise<readonly Sample[]> => {
    try {
      return [...(await metric.read())];
    } catch (error) {
      log.debug({ err: error, metric: name }, 'a metric could not be read');
      return [];
    }
  };
  if (metric.type === 'gauge') {
    new Gauge({
      ...options,
      async collect() {
        const samples = await read();
        this.reset();
        for (const { labels = {}, value } of samples) this.set(labels, value);
      },
    });
    return;
  }
  new Counter({
    ...options,
    async collect() {
      const samples = await read();
      this.reset();
      for (const { labels = {}, value } of samples) this.inc(labels, value);
    },
  });
}

/** The samples of a map from the values of one label. */
export const samplesBy = (label: string, values: ReadonlyMap<string, number>): readonly Sample[] =>
  [...values].map(([name, value]) => ({ labels: { [label]: name }, value }));
