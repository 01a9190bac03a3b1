import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Logger } from 'pino';
import { watchDelivery } from './app-notifications.ts';
import { type Config, ConfigError } from './config.ts';
import { createDatabase, type DatabaseClient } from './db/client.ts';
import { lockDataDir } from './db/embedded/data-dir-lock.ts';
import { startPostgres } from './db/embedded/start.ts';
import { createLimitedDatabase } from './db/limited-client.ts';
import { migrate } from './db/migrate.ts';
import { createNotifications } from './db/notifications.ts';
import { explainDatabaseError } from './db/usable.ts';
import { createIntegrationSources, type IntegrationSources } from './services/integration-sources.ts';
import type { SecretBox } from './services/secret-box.ts';
import type { Setting, Shutdown } from './shutdown.ts';
import { createAddressPolicy } from './sources/addresses.ts';
import { createGuardedAgent } from './sources/guarded-agent.ts';
import { createPoster, type Poster } from './sources/guarded-post.ts';
import { createHttpClient, type HttpClient } from './sources/http-client.ts';
import type { Storage } from './storage/adapter.ts';
import { openStorage } from './storage/open.ts';

/** The guarded way out.
 * @throws {ConfigError}
 */
export function openHttpClient(config: Config, log: Logger): HttpClient {
  try {
    return createHttpClient({ allowAddresses: config.allowAddresses, log });
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(`SLUICE_ALLOW_ADDRESSES: ${said}`, { cause });
  }
}

/** The way out for webhooks, which reaches what the HTTP client may reach. */
export function openPoster({ config, shutdown }: Setting): Poster {
  const poster = createPoster({ allowAddresses: config.allowAddresses });
  shutdown.add(() => poster.close());
  return poster;
}

/** Integrations, with a way out of their own that reaches what the HTTP client may reach. */
export function openIntegrationSources(
  { config, log, shutdown }: Setting,
  secrets: SecretBox,
): IntegrationSources {
  const agent = createGuardedAgent({ policy: createAddressPolicy({ allow: config.allowAddresses }) });
  shutdown.add(() => agent.destroy());
  const sources = createIntegrationSources({
    agent,
    allowFolders: config.allowFolders,
    defaultCredentials: config.awsDefaultCredentials,
    secrets,
    log,
  });
  shutdown.add(() => sources.close());
  return sources;
}

/** The database, brought up to date, with its connections. */
export async function openDatabase({ config, log, shutdown }: Setting) {
  const url = config.databaseUrl ?? (await ownDatabase(config, log, shutdown));
  await migrate({ url, log });
  const client = createDatabase({ url, log, max: 16, applicationName: 'sluice work' });
  shutdown.add(() => client.close());
  const connectionString = config.listenDatabaseUrl ?? url;
  const notifications = createNotifications({ connectionString, pool: client.pool, log });
  try {
    await notifications.start();
  } catch (error) {
    throw explainDatabaseError(error, connectionString);
  }
  shutdown.add(() => notifications.stop());
  const delivery = watchDelivery(notifications, log);
  shutdown.add(() => delivery.stop());
  return { ...client, url, notifications, delivery };
}

/** Beyond the longest deadline of a query, nobody waits for its statements any more. */
const API_STATEMENT_MS = 12_000;

/** Connections of their own for subscribers and lists: they must not keep leases waiting. */
export async function openApiDatabase({ log, shutdown }: Setting, url: string): Promise<DatabaseClient> {
  const client = await createLimitedDatabase({
    url,
    log,
    max: 16,
    applicationName: 'sluice api',
    statementTimeoutMs: API_STATEMENT_MS,
  });
  shutdown.add(() => client.close());
  return client;
}

async function ownDatabase(config: Config, log: Logger, shutdown: Shutdown): Promise<string> {
  const unlock = await lockDataDir(config.dataDir);
  shutdown.add(unlock);
  const postgres = await startPostgres({ dataDir: config.dataDir, log });
  shutdown.add(() => postgres.stop());
  return postgres.url;
}

/** Where the bytes are: as the settings say, else `media` in the data folder. */
export function storageUrlOf({ storageUrl, dataDir }: Config): string {
  return storageUrl ?? pathToFileURL(join(dataDir, 'media')).href;
}

/**
 * The storage of the bytes: where the settings say, else `media` in the data folder.
 * @throws {ConfigError} when nothing can be written there
 */
export async function openConfiguredStorage({ config, log }: Setting): Promise<Storage> {
  try {
    const storage = openStorage(storageUrlOf(config), { tempDir: join(config.dataDir, 'tmp'), log });
    if (config.storageUrl !== undefined) await storage.checkWritable();
    return storage;
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(`SLUICE_STORAGE_URL: ${said}`, { cause });
  }
}

export type OpenDatabase = Awaited<ReturnType<typeof openDatabase>>;
