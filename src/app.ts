import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sql } from 'drizzle-orm';
import type { Logger } from 'pino';
import { type Config, ConfigError } from './config.ts';
import { createDatabase } from './db/client.ts';
import { lockDataDir } from './db/embedded/data-dir-lock.ts';
import { startPostgres } from './db/embedded/start.ts';
import { uuidv7 } from './db/ids.ts';
import { migrate } from './db/migrate.ts';
import { createNotifications } from './db/notifications.ts';
import { explainDatabaseError } from './db/usable.ts';
import { createChanges } from './events/changes.ts';
import { createHub } from './events/hub.ts';
import { createProgressReporter } from './events/progress.ts';
import { createHttpServer } from './http/server.ts';
import * as definitions from './jobs/definitions.ts';
import { createHandlers } from './jobs/handlers/index.ts';
import { createJobSignal } from './jobs/queue.ts';
import { createWorker } from './jobs/worker.ts';
import { createMediaPool } from './media/pool.ts';
import { createProber } from './prober.ts';
import { schema } from './schema/index.ts';
import { loadSecretKey } from './secret-key.ts';
import { createCursors } from './services/cursors.ts';
import type { Services } from './services/deps.ts';
import { ensureFirstTeam } from './services/first-start.ts';
import { createHousekeeping } from './services/housekeeping.ts';
import { createFigureReader } from './services/import-figures.ts';
import { createMediaUrls } from './services/media-urls.ts';
import { createOriginLimit } from './services/origin-limit.ts';
import { findVideoFile } from './services/video-file.ts';
import { authenticate } from './services/viewer.ts';
import { createHttpClient, type HttpClient } from './sources/http-client.ts';
import type { Storage } from './storage/adapter.ts';
import { createFileStorage } from './storage/file.ts';

/** A running Sluice: API and worker in one process. */
export interface App {
  /** Where the API listens. */
  readonly url: string;
  /** The key that the first start made, to be shown once; null on any other start. */
  readonly firstKey: string | null;
  /** Ends everything in the reverse order of the start: what runs gets the grace time, the rest goes back to the queue. */
  stop(): Promise<void>;
  /** Gives running jobs back at once; also in the middle of a stop. */
  hurry(): void;
}

/** Ends parts in the reverse order in which they were started. */
class Shutdown {
  readonly #steps: (() => Promise<unknown> | unknown)[] = [];
  #running: Promise<void> | null = null;
  /** Calls off whatever waiting the steps do. */
  hurry: () => void = () => {};

  add(step: () => Promise<unknown> | unknown): void {
    this.#steps.push(step);
  }

  /** Does every step once, whatever becomes of the others; throws what went wrong, together. */
  run(): Promise<void> {
    this.#running ??= this.#run();
    return this.#running;
  }

  async #run(): Promise<void> {
    const errors: unknown[] = [];
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, 'Not everything could be stopped cleanly.');
  }
}

const running = new Set<Shutdown>();

/** Stops every app of this process that runs or is starting, without grace for what it does; for a process that has to end at once. */
export async function stopRunningApps(): Promise<void> {
  await Promise.all(
    [...running].map((shutdown) => {
      shutdown.hurry();
      return shutdown.run();
    }),
  );
}

/**
 * Starts Sluice: the database (our own, unless one is named), then each part once, in order; the API last.
 * @throws what the part throws that could not start, after the others were stopped again
 */
export async function startApp(config: Config, log: Logger): Promise<App> {
  const shutdown = new Shutdown();
  running.add(shutdown);
  shutdown.add(() => running.delete(shutdown));
  try {
    return await start(config, log, shutdown);
  } catch (error) {
    await shutdown
      .run()
      .catch((stopError: unknown) => log.error({ err: stopError }, 'stopping after a failed start'));
    throw error;
  }
}

/** What every part is handed: the settings, the log, and where to say how it is ended. */
interface Setting {
  readonly config: Config;
  readonly log: Logger;
  readonly shutdown: Shutdown;
}

async function start(config: Config, log: Logger, shutdown: Shutdown): Promise<App> {
  const setting = { config, log, shutdown };
  const http = openHttpClient(config, log);
  shutdown.add(() => http.close());
  const storage = await openStorage(config);
  const database = await openDatabase(setting);
  const firstKey = await ensureFirstTeam(database.db, config.apiKey);
  const { services, worker } = createWork(setting, { ...database, http, storage });
  const housekeeping = createHousekeeping(services);
  shutdown.add(() => housekeeping.stop());
  const url = await startServer(setting, { ...database, services, storage });
  worker.start();
  housekeeping.start();
  return { url, firstKey, stop: () => shutdown.run(), hurry: shutdown.hurry };
}

type OpenDatabase = Awaited<ReturnType<typeof openDatabase>>;

/** The use-cases, and the worker that runs their jobs. */
function createWork(
  { config, log, shutdown }: Setting,
  {
    db,
    pool,
    notifications,
    http,
    storage,
  }: OpenDatabase & { readonly http: HttpClient; readonly storage: Storage },
) {
  // Looks at remote files wait for their sources: they must not keep the checks of stored ones waiting.
  const looks = createMediaPool({ size: config.probeChildren, log });
  shutdown.add(() => looks.close());
  const media = createMediaPool({ size: config.probeChildren, log });
  shutdown.add(() => media.close());
  const jobs = createJobSignal(notifications);
  const services: Services = {
    db,
    jobs,
    log,
    changes: createChanges(notifications),
    prober: createProber({ http, media: looks }),
    originLimit: createOriginLimit(),
    requirements: config.requirements,
    owner: uuidv7(),
    keepLease: (job) => worker.adopt(job),
    planSeconds: config.planSeconds,
    leaseSeconds: config.leaseSeconds,
    mediaUrlSeconds: config.mediaUrlSeconds,
  };
  const progress = createProgressReporter({ db, log });
  shutdown.add(() => progress.stop());
  const worker = createWorker({
    db,
    pool,
    signal: jobs,
    handlers: createHandlers({ services, storage, media, http, progress }),
    concurrency: concurrencyOf(config),
    log,
    owner: services.owner,
    leaseSeconds: config.leaseSeconds,
    sweepSeconds: config.sweepSeconds,
    graceSeconds: config.graceSeconds,
    retryBaseSeconds: config.retryBaseSeconds,
  });
  shutdown.add(() => worker.stop());
  shutdown.hurry = () => void worker.stopNow();
  return { services, worker };
}

/** The API, listening. @returns where */
async function startServer(
  { config, log, shutdown }: Setting,
  {
    api,
    notifications,
    services,
    storage,
  }: OpenDatabase & { readonly services: Services; readonly storage: Storage },
): Promise<string> {
  const hub = createHub(notifications);
  shutdown.add(() => hub.stop());
  const secret = config.secretKey ?? (await loadSecretKey(config.dataDir));
  let url = config.publicUrl ?? '';
  const mediaUrls = createMediaUrls({ secret, publicUrl: () => url, seconds: config.mediaUrlSeconds });
  const figures = createFigureReader(api);
  const cursors = await createCursors(api);
  const server = createHttpServer({
    host: config.host,
    port: config.port,
    allowOrigins: config.allowOrigins,
    production: config.production,
    log,
    schema,
    authenticate: (key) => authenticate(api, key),
    createContext: (viewer) => ({ viewer, db: api, services, figures, hub, cursors, mediaUrls }),
    media: { urls: mediaUrls, find: (video) => findVideoFile({ db: api, storage }, video) },
    health: async () => ({ database: await isAlive(api), notifications: notifications.connected }),
    deadlineSeconds: (operation) => (operation === 'startImport' ? config.planSeconds + 10 : 10),
  });
  const listening = await server.start();
  shutdown.add(() => server.stop());
  url = config.publicUrl ?? listening.url;
  return listening.url;
}

const concurrencyOf = (config: Config) => ({
  [definitions.planImport.kind]: 4,
  [definitions.transferVideo.kind]: config.transferConcurrency,
  [definitions.indexVideo.kind]: config.indexConcurrency,
  [definitions.settleContent.kind]: 2,
  [definitions.deleteObjects.kind]: 2,
});

const isAlive = async (db: ReturnType<typeof createDatabase>['db']) =>
  await db.execute(sql`select 1`).then(
    () => true,
    () => false,
  );

function openHttpClient(config: Config, log: Logger): HttpClient {
  try {
    return createHttpClient({ allowAddresses: config.allowAddresses, log });
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(`SLUICE_ALLOW_ADDRESSES: ${said}`, { cause });
  }
}

/** Beyond the longest deadline of a query, nobody waits for its statements any more. */
const API_STATEMENT_MS = 12_000;

async function openDatabase({ config, log, shutdown }: Setting) {
  const url = config.databaseUrl ?? (await ownDatabase(config, log, shutdown));
  await migrate({ url, log });
  // Subscribers and lists on connections of their own: they must not keep leases waiting.
  const client = createDatabase({ url, log, max: 16, applicationName: 'sluice work' });
  shutdown.add(() => client.close());
  const api = createDatabase({
    url,
    log,
    max: 16,
    applicationName: 'sluice api',
    statementTimeoutMs: API_STATEMENT_MS,
  });
  shutdown.add(() => api.close());
  const connectionString = config.listenDatabaseUrl ?? url;
  const notifications = createNotifications({ connectionString, pool: client.pool, log });
  try {
    await notifications.start();
  } catch (error) {
    throw explainDatabaseError(error, connectionString);
  }
  shutdown.add(() => notifications.stop());
  return { ...client, api: api.db, notifications };
}

async function ownDatabase(config: Config, log: Logger, shutdown: Shutdown): Promise<string> {
  const unlock = await lockDataDir(config.dataDir);
  shutdown.add(unlock);
  const postgres = await startPostgres({ dataDir: config.dataDir, log });
  shutdown.add(() => postgres.stop());
  return postgres.url;
}

/**
 * The storage of the bytes: in the folder configured, else `media` in the data folder.
 * @throws {ConfigError} when nothing can be written there
 */
async function openStorage(config: Config): Promise<Storage> {
  const root =
    config.storageUrl === undefined ? join(config.dataDir, 'media') : fileURLToPath(config.storageUrl);
  const storage = createFileStorage({ root });
  if (config.storageUrl !== undefined) {
    await storage.checkWritable().catch((cause: unknown) => {
      const said = cause instanceof Error ? cause.message : String(cause);
      throw new ConfigError(`SLUICE_STORAGE_URL: ${said}`, { cause });
    });
  }
  return storage;
}
