import type { Logger } from 'pino';
import { createHealth, type Health } from './app-health.ts';
import { createMetrics, type Metrics } from './app-metrics.ts';
import { poolMetrics } from './app-metrics-parts.ts';
import { checkRole, openWork, type Running, stopWork } from './app-open.ts';
import type { Config } from './config.ts';
import { createHealthServer } from './http/health-server.ts';
import { type Setting, startGuarded } from './shutdown.ts';

/**
 * Starts a worker without the API; with a health port, if one is set.
 * @throws {ConfigError} without a database that is named
 * @throws what the part throws that could not start, after the others were stopped again
 */
export async function startWorker(config: Config, log: Logger): Promise<Running> {
  checkRole(config, 'worker');
  return await startGuarded(log, async (shutdown) => {
    const setting = { config, log, shutdown };
    const [health, metrics] = [createHealth(shutdown), createMetrics(log)];
    await openHealthPort(setting, health, metrics);
    const work = await openWork(setting, metrics, { claims: true });
    metrics.add(poolMetrics({ work: work.database.pool }));
    stopWork(setting, work);
    work.worker.start();
    work.housekeeping.start();
    health.open(work.database);
    return { stop: () => shutdown.run(), hurry: () => shutdown.hurry() };
  });
}

async function openHealthPort(
  { config, log, shutdown }: Setting,
  health: Health,
  metrics: Metrics,
): Promise<void> {
  const { host, healthPort } = config;
  if (healthPort === undefined) return;
  const server = createHealthServer({
    host,
    port: healthPort,
    log,
    health: health.parts,
    metrics: metrics.render,
  });
  const { url } = await server.start();
  shutdown.add(() => server.stop());
  log.info({ url }, 'health and metrics are told');
}
