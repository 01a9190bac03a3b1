import type { GraphQLSchema } from 'graphql';
import type { Logger } from 'pino';
import type { Context, WatchViewer } from '../schema/context.ts';
import type { Viewer } from '../services/viewer.ts';
import { createAddressReader } from './address.ts';
import { createAnswer } from './answer.ts';
import type { Authenticate } from './auth.ts';
import { createDocumentCache } from './document-cache.ts';
import { type HttpFigures, watchTraffic } from './drain.ts';
import { createErrorMask } from './errors.ts';
import { failureOf } from './failure.ts';
import { createFastify, listen, makeRequestId } from './fastify.ts';
import { registerGraphiql } from './graphiql-route.ts';
import { registerGraphQL } from './graphql-route.ts';
import { type HealthOptions, registerHealth } from './health.ts';
import { createKeyGuard } from './key-guard.ts';
import { createKeyWatch } from './key-watch.ts';
import { createKnownKeys } from './known-keys.ts';
import { type MediaOptions, registerMedia } from './media.ts';
import { type MetricsOptions, registerMetrics } from './metrics.ts';
import { createQuickRoute, type QuickRoute } from './quick-route.ts';
import { setHeaders } from './security-headers.ts';
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
  /** The shortest way that requests may take; for tests. */
  readonly shortest?: 'quick route' | 'no Request and Response' | 'Yoga';
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
  /** Takes nothing that is known of keys for true any more, and looks at those behind what is open: keys have changed. */
  readonly forgetKeys: () => void;
}

/** One server for everything that is reached by HTTP: GraphQL (JSON, events, WebSocket), GraphiQL, media, health. */
export function createHttpServer(options: HttpServerOptions): HttpServer {
  const {
    log,
    host,
    port,
    production = false,
    graphiql = !production,
    shortest = 'quick route',
    socketsPerKey = 20,
    trustedProxies = [],
  } = options;
  let takes: QuickRoute = () => false;
  const server = createFastify({
    log,
    trustedProxies,
    takes: (request, response) => !traffic.isDraining() && takes(request, response),
  });
  const headers = setHeaders(server);
  const traffic = watchTraffic(server);
  const mask = createErrorMask({ log, hints: !production });
  const sharing = createSharing({ createContext: options.createContext, mask });
  const documents = createDocumentCache();
  const yoga = createGraphQL({ ...options, production, mask, sharing, documents });
  const known = createKnownKeys(options.authenticate);
  // It asks seldom enough, and what it finds must not be a second old.
  const keys = createKeyWatch(options.authenticate);
  const guard = createKeyGuard(known.authenticate);
  registerHealth(server, options);
  if (options.metrics !== undefined) registerMetrics(server, { metrics: options.metrics, guard });
  registerMedia(server, options.media);
  registerGraphiql(server, { graphiql });
  const uploads =
    options.uploads && createUploadServer({ ...options.uploads, allowOrigins: options.allowOrigins });
  const answer = createAnswer(yoga, documents, shortest !== 'Yoga');
  const endStreams = registerGraphQL(server, { answer, guard, keys });
  if (shortest === 'quick route')
    takes = createQuickRoute({
      answer,
      keys,
      headers,
      viewerOf: known.known,
      fail: (error) => failureOf(error, makeRequestId(), log),
    });
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
    forgetKeys() {
      known.forget();
      keys.lookNow();
    },
  };
}
