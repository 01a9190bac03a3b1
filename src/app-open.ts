import type { Metrics } from './app-metrics.ts';
import {
  openConfiguredStorage,
  openDatabase,
  openHttpClient,
  openIntegrationSources,
  openPoster,
} from './app-parts.ts';
import { createWork, type WorkParts } from './app-work.ts';
import { type Config, ConfigError } from './config.ts';
import { explained } from './db/usable.ts';
import { checkSecrets, loadSecrets } from './secret-key.ts';
import { createHousekeeping } from './services/housekeeping.ts';
import type { Setting } from './shutdown.ts';

/** A part of Sluice that runs in this process. */
export interface Running {
  /** Ends everything in the reverse order of the start: what runs gets the grace time, the rest goes back to the queue. */
  stop(): Promise<void>;
  /** Gives running jobs back at once; also in the middle of a stop. */
  hurry(): void;
}

/** What one process does: API and worker, or one of them. */
type Role = 'all' | 'api' | 'worker';

/**
 * Sees whether a role can do with these settings.
 * @throws {ConfigError} when it needs a database that is named
 */
export function checkRole({ databaseUrl }: Config, role: Role): void {
  if (role === 'all' || databaseUrl !== undefined) return;
  throw new ConfigError(
    `DATABASE_URL: required by \`sluice ${role}\`, whose processes share a database; \`sluice all\` can do with one of its own`,
  );
}

/** Everything but the API. */
export async function openWork(
  setting: Setting,
  metrics: Metrics,
  { claims, work }: Pick<WorkParts, 'claims' | 'work'>,
) {
  const { config, log, shutdown } = setting;
  const http = openHttpClient(config, log);
  shutdown.add(() => http.close());
  const poster = openPoster(setting);
  const storage = await openConfiguredStorage(setting);
  const database = await openDatabase(setting);
  metrics.add(database.delivery.metrics);
  const { secret, secrets } = await loadSecrets(config);
  await explained(database.url, () => checkSecrets(database.db, secrets));
  const integrationSources = openIntegrationSources(setting, secrets);
  const parts = { ...database, http, poster, storage, secrets, integrationSources, metrics, claims, work };
  const { services, worker } = createWork(setting, parts);
  return { database, services, worker, housekeeping: createHousekeeping(services), storage, secret };
}

/** Has the work ended before what it is done with. */
export function stopWork(
  { shutdown }: Setting,
  { worker, housekeeping }: Pick<Awaited<ReturnType<typeof openWork>>, 'worker' | 'housekeeping'>,
): void {
  shutdown.add(() => worker.stop());
  shutdown.add(() => housekeeping.stop());
}
