import type { Logger } from 'pino';
import { createHealth } from './app-health.ts';
import { createMetrics } from './app-metrics.ts';
import { checkRole, openWork, type Running, stopWork } from './app-open.ts';
import { type ApiServer, startServer } from './app-server.ts';
import type { Config } from './config.ts';
import { explained } from './db/usable.ts';
import type { ProductWork } from './jobs/handlers/deps.ts';
import { ensureFirstTeam } from './services/first-start.ts';
import { startGuarded } from './shutdown.ts';

/** A running API, with or without a worker in the same process. */
export interface App extends Running {
  /** Where the API listens. */
  readonly url: string;
  /** The key that the first start made, to be shown once; null on any other start. */
  readonly firstKey: string | null;
}

/** What may be otherwise than in a whole Sluice. */
export interface AppOptions {
  /** With `api`, jobs are left to workers, but for what calls begin themselves. */
  readonly role?: 'all' | 'api';
  /** Makes products in place of the pool that does. */
  readonly work?: ProductWork;
}

/**
 * Starts Sluice: the database (our own, unless one is named), then each part once, in order; the API last.
 * @param options its role, or more of them
 * @throws {ConfigError} when a role needs a database that is named
 * @throws what the part throws that could not start, after the others were stopped again
 */
export async function startApp(
  config: Config,
  log: Logger,
  options: 'all' | 'api' | AppOptions = {},
): Promise<App> {
  const { role = 'all', work: productWork } = typeof options === 'string' ? { role: options } : options;
  checkRole(config, role);
  return await startGuarded(log, async (shutdown) => {
    const setting = { config, log, shutdown };
    const [health, metrics] = [createHealth(shutdown), createMetrics(log)];
    let server: ApiServer | null = null;
    // The last to end: until then it tells whether the process lives.
    shutdown.add(() => server?.stop());
    const work = await openWork(setting, metrics, { claims: role === 'all', work: productWork });
    const { database, worker, housekeeping } = work;
    const firstKey = await explained(database.url, () => ensureFirstTeam(database.db, config.apiKey));
    const api = await startServer(setting, { ...database, ...work, health, metrics });
    server = api;
    stopWork(setting, work);
    shutdown.add(() => {
      // Both at the same time; how that ends is told where it is waited for.
      worker.stop().catch(() => {});
      return api.drain();
    });
    worker.start();
    housekeeping.start();
    health.open(database);
    return { url: api.url, firstKey, stop: () => shutdown.run(), hurry: () => shutdown.hurry() };
  });
}
