import helmet from '@fastify/helmet';
import type { GraphQLSchema } from 'graphql';
import type { Logger } from 'pino';
import type { Context, WatchViewer } from '../schema/context.ts';
import type { Viewer } from '../services/viewer.ts';
import { createAddressReader } from './address.ts';
import type { Authenticate } from './auth.ts';
import { type HttpFigures, watchTraffic } from './drain.ts';
import { createErrorMask } from './errors.ts';
import { createFastify, listen } from './fastify.ts';
import { registerGraphiql } from './graphiql-route.ts';
import { registerGraphQL } from './graphql-route.ts';
import { type HealthOptions, registerHealth } from './health.ts';
import { createKeyGuard } from './key-guard.ts';
import { createKeyWatch } from './key-watch.ts';
import { type MediaOptions, registerMedia } from './media.ts';
import { type MetricsOptions, registerMetrics } from './metrics.ts';
import { createSharing } from './sharing.ts';
import { createUploadServer, type UploadOptions } from './upload-server.ts';
import { registerUploads } from './uploads.ts';
import { serveWebSockets } from './websocket.ts';
import { createGraphQL } from './yoga.ts';

export interface HttpServerOptions extends HealthOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly allowOrigins: readonly string[];
  /** How many WebSockets may be open with one key; 20 unless given. */
  readonly socketsPerKey?: number;
  /** Addresses or networks of proxies whose X-Forwarded-For is believed; none. */
  readonly trustedProxies?: readonly string[];
  readonly log: Logger;
  /** Errors propose no names, the schema's types are told to an ADMIN key only, no GraphiQL; false unless given. */
  readonly production?: boolean;
  /** Whether GraphiQL is served; unless given, not in production. */
  readonly graphiql?: boolean;
  /** Whether Yoga's Request and Response are left out where they can be; they are unless this is false, for tests. */
  readonly shortPath?: boolean;
  readonly schema: GraphQLSchema;
  readonly authenticate: Authenticate;
  readonly createContext: (viewer: Viewer, watchViewer: WatchViewer) => Context;
  readonly deadlineSeconds: (rootField: string) => number;
  readonly media: MediaOptions;
  /** What /uploads needs, which is not there without. */
  readonly uploads?: UploadOptions;
  /** The figures for /metrics, which is not there without them. */
  readonly metrics?: MetricsOptions['metrics'];
}

export interface HttpServer {
  /**
   * Listens.
   * @throws {ListenError} when the port is taken, or must not be used
   */
  start(): Promise<{ readonly url: string; readonly port: number }>;
  /**
   * Takes nothing new, ends sockets (1001) and streams, and lets requests end for some seconds. /health goes on
   * answering until `stop`.
   */
  drain(): Promise<void>;
  /** Drains and closes. */
  stop(): Promise<void>;
  figures(): HttpFigures;
  /** Looks at the keys behind what is open at once, not only when it is time: keys have changed. */
  recheckKeys(): void;
}

/** One server for everything that is reached by HTTP: GraphQL (JSON, events, WebSocket), GraphiQL, media, health. */
export function createHttpServer(options: HttpServerOptions): HttpServer {
  const {
    log,
    host,
    port,
    authenticate,
    production = false,
    graphiql = !production,
    shortPath = true,
    socketsPerKey = 20,
    trustedProxies = [],
  } = options;
  const server = createFastify(log, trustedProxies);
  void server.register(helmet, { contentSecurityPolicy: false, hsts: false });
  const traffic = watchTraffic(server);
  const mask = createErrorMask({ log, hints: !production });
  const sharing = createSharing({ createContext: options.createContext, mask });
  const yoga = createGraphQL({ ...options, production, mask, sharing });
  const keys = createKeyWatch(authenticate);
  const guard = createKeyGuard(authenticate);
  registerHealth(server, options);
  if (options.metrics !== undefined) registerMetrics(server, { metrics: options.metrics, guard });
  registerMedia(server, options.media);
  registerGraphiql(server, { graphiql });
  const uploads =
    options.uploads && createUploadServer({ ...options.uploads, allowOrigins: options.allowOrigins });
  const endStreams = registerGraphQL(server, { yoga, guard, keys, shortPath });
  if (uploads) registerUploads(server, { guard, allowOrigins: options.allowOrigins, uploads });
  const endSockets = serveWebSockets({
    ...options,
    server: server.server,
    yoga,
    guard,
    keys,
    mask,
    sharing,
    socketsPerKey,
    addressOf: createAddressReader(trustedProxies),
  });
  let draining: Promise<void> | undefined;
  const drainAll = async (): Promise<void> => {
    const drained = traffic.drain();
    endStreams();
    uploads?.release();
    await Promise.all([endSockets(), drained]);
  };
  const drain = (): Promise<void> => {
    draining ??= drainAll();
    return draining;
  };
  return {
    start: () => listen(server, { host, port, setting: 'PORT' }),
    drain,
    async stop() {
      await drain();
      await server.close();
    },
    figures: traffic.figures,
    recheckKeys: keys.lookNow,
  };
}
