import type { Health } from './app-health.ts';
import type { Metrics } from './app-metrics.ts';
import { httpMetrics, poolMetrics, watchSubscriptions } from './app-metrics-parts.ts';
import { type OpenDatabase, openApiDatabase, storageUrlOf } from './app-parts.ts';
import type { Config } from './config.ts';
import { explained } from './db/usable.ts';
import { createHub } from './events/hub.ts';
import { isUploadToken } from './http/auth.ts';
import { createHttpServer, type HttpServer } from './http/server.ts';
import { schema } from './schema/index.ts';
import type { Secrets } from './secret-key.ts';
import { CHECK_SECONDS } from './services/check-location.ts';
import { createCursors } from './services/cursors.ts';
import type { Services } from './services/deps.ts';
import { createImportFeeds } from './services/import-feed.ts';
import { createFigureReader } from './services/import-figures.ts';
import { createImportSnapshots } from './services/import-snapshots.ts';
import { KEYS_CHANNEL } from './services/manage-keys.ts';
import { watchMediaEpochs } from './services/media-epochs.ts';
import { createMediaFiles } from './services/media-files.ts';
import { createMediaUrls } from './services/media-urls.ts';
import { createRateLimit } from './services/rate-limit.ts';
import { createTaskFeeds } from './services/task-feed.ts';
import { authenticateToken } from './services/upload-tokens.ts';
import { authenticate } from './services/viewer.ts';
import type { Setting } from './shutdown.ts';
import type { Storage } from './storage/adapter.ts';
import { openUploadStore } from './storage/upload-store.ts';

interface ServerParts extends OpenDatabase, Pick<Secrets, 'secret'> {
  readonly services: Services;
  readonly storage: Storage;
  readonly health: Health;
  readonly metrics: Metrics;
}

/** The API, listening. */
export interface ApiServer extends Pick<HttpServer, 'drain' | 'stop'> {
  readonly url: string;
}

/** Starts the API; who stops it is the caller's business, for it is the last to end. */
export async function startServer(setting: Setting, parts: ServerParts): Promise<ApiServer> {
  const { config, log, shutdown } = setting;
  const { services, storage, health, metrics, secret } = parts;
  const { db: api, pool } = await openApiDatabase(setting, parts.url);
  const cursors = await explained(parts.url, () => createCursors(api));
  const changes = createHub(parts.notifications);
  shutdown.add(() => changes.stop());
  const feeds = createImportFeeds({ db: api, hub: changes, cursors });
  const snapshots = createImportSnapshots({ db: api, cursors });
  const { hub, metrics: hubMetrics, untilNone } = watchSubscriptions(changes, feeds);
  let url = config.publicUrl ?? '';
  const epochs = await watchMediaEpochs({ db: api, notifications: parts.notifications, log });
  shutdown.add(() => epochs.stop());
  const mediaUrls = createMediaUrls({
    secret,
    publicUrl: () => url,
    seconds: config.mediaUrlSeconds,
    epochOf: epochs.of,
  });
  const figures = createFigureReader(api);
  const uploads = {
    services,
    store: await openUploadStore(storageUrlOf(config)),
    publicUrl: config.publicUrl,
  };
  const rateLimit = createRateLimit(api, config.rateCallsPerMinute);
  const taskFeeds = createTaskFeeds({ db: api, hub, cursors });
  const common = {
    db: api,
    services,
    figures,
    hub,
    feeds,
    snapshots,
    cursors,
    mediaUrls,
    taskFeeds,
    rateLimit,
  };
  const server = createHttpServer({
    host: config.host,
    port: config.port,
    allowOrigins: config.allowOrigins,
    socketsPerKey: config.socketsPerKey,
    trustedProxies: config.trustedProxies,
    production: config.production,
    log,
    schema,
    authenticate: (key) => (isUploadToken(key) ? authenticateToken(api, key) : authenticate(api, key)),
    createContext: (viewer, watchViewer) => ({ ...common, viewer, watchViewer }),
    media: {
      urls: mediaUrls,
      files: createMediaFiles({ db: api, storage, epochs, redirect: config.mediaDelivery === 'redirect' }),
    },
    uploads,
    health: health.parts,
    metrics: metrics.render,
    deadlineSeconds: (operation) => deadlineOf(config, operation),
  });
  metrics.add([
    ...poolMetrics({ work: parts.pool, api: pool }),
    ...httpMetrics(server.figures),
    ...hubMetrics,
  ]);
  shutdown.add(parts.notifications.listen(KEYS_CHANNEL, server.forgetKeys));
  const listening = await server.start();
  url = config.publicUrl ?? listening.url;
  const drain = async () => {
    await server.drain();
    await untilNone();
  };
  return { url: listening.url, drain, stop: server.stop };
}

/** How long an operation may take, in seconds: some ask sources before they answer. */
function deadlineOf({ planSeconds }: Config, operation: string): number {
  if (operation === 'startImport' || operation === 'importPlan') return planSeconds + 10;
  return operation === 'createIntegration' || operation === 'updateIntegration' ? CHECK_SECONDS + 10 : 10;
}
