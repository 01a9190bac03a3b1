import type { Logger } from 'pino';
import { createFastify, listen } from './fastify.ts';
import { type HealthOptions, registerHealth } from './health.ts';
import { type MetricsOptions, registerMetrics } from './metrics.ts';

export interface HealthServerOptions extends HealthOptions, Pick<MetricsOptions, 'metrics'> {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly log: Logger;
}

/** A server for supervisors only. */
export interface HealthServer {
  /**
   * Listens.
   * @throws {ListenError} when the port is taken, or must not be used
   */
  start(): Promise<{ readonly url: string }>;
  stop(): Promise<void>;
}

/** For a process without the API: answers for /health/live, /health/ready and /metrics, without a key, and for nothing else. */
export function createHealthServer(options: HealthServerOptions): HealthServer {
  const { host, port, log, metrics } = options;
  const server = createFastify({ log });
  registerHealth(server, options);
  registerMetrics(server, { metrics, guard: null });
  return {
    start: () => listen(server, { host, port, setting: 'SLUICE_HEALTH_PORT' }),
    stop: () => server.close(),
  };
}
