import type { Health } from './app-health.ts';
import type { Metrics } from './app-metrics.ts';
import { httpMetrics, poolMetrics, watchHub } from './app-metrics-parts.ts';
import { type OpenDatabase, openApiDatabase } from './app-parts.ts';
import type { Config } from './config.ts';
import { createHub } from './events/hub.ts';
import { createHttpServer, type HttpServer } from './http/server.ts';
import { shareLookups } from './http/shared-lookups.ts';
import { schema } from './schema/index.ts';
import type { Secrets } from './secret-key.ts';
import { CHECK_SECONDS } from './services/check-location.ts';
import { createCursors } from './services/cursors.ts';
import type { Services } from './services/deps.ts';
import { createFigureReader } from './services/import-figures.ts';
import { createMediaUrls } from './services/media-urls.ts';
import { findVideoFile } from './services/video-file.ts';
import { authenticate } from './services/viewer.ts';
import type { Setting } from './shutdown.ts';
import type { Storage } from './storage/adapter.ts';

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
  const { hub, metrics: hubMetrics } = watchHub(createHub(parts.notifications));
  shutdown.add(() => hub.stop());
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
    authenticate: shareLookups((key) => authenticate(api, key)),
    createContext: (viewer) => ({ viewer, db: api, services, figures, hub, cursors, mediaUrls }),
    media: { urls: mediaUrls, find: (video) => findVideoFile({ db: api, storage }, video) },
    health: health.parts,
    metrics: metrics.render,
    deadlineSeconds: (operation) => deadlineOf(config, operation),
  });
  metrics.add([
    ...poolMetrics({ work: parts.pool, api: pool }),
    ...httpMetrics(server.figures),
    ...hubMetrics,
  ]);
  const listening = await server.start();
  url = config.publicUrl ?? listening.url;
  return { url: listening.url, drain: server.drain, stop: server.stop };
}

/** How long an operation may take, in seconds: some ask sources before they answer. */
function deadlineOf({ planSeconds }: Config, operation: string): number {
  if (operation === 'startImport' || operation === 'importPlan') return planSeconds + 10;
  return operation === 'createIntegration' || operation === 'updateIntegration' ? CHECK_SECONDS + 10 : 10;
}
