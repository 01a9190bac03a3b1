import { randomBytes } from 'node:crypto';
import helmet from '@fastify/helmet';
import fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import type { GraphQLSchema } from 'graphql';
import type { Logger } from 'pino';
import type { Context } from '../schema/context.ts';
import type { MediaUrls } from '../services/media-urls.ts';
import type { VideoFile } from '../services/video-file.ts';
import type { Viewer } from '../services/viewer.ts';
import type { Authenticate } from './auth.ts';
import { createErrorMask } from './errors.ts';
import { registerGraphiql } from './graphiql-route.ts';
import { registerGraphQL } from './graphql-route.ts';
import { registerHealth } from './health.ts';
import { createKeyWatch } from './key-watch.ts';
import { registerMedia } from './media.ts';
import { serveWebSockets } from './websocket.ts';
import { createGraphQL } from './yoga.ts';

export interface HttpServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly allowOrigins: readonly string[];
  readonly log: Logger;
  /** Errors propose no names, the schema's types are told to an ADMIN key only, no GraphiQL; false unless given. */
  readonly production?: boolean;
  /** Whether GraphiQL is served; unless given, not in production. */
  readonly graphiql?: boolean;
  readonly schema: GraphQLSchema;
  readonly authenticate: Authenticate;
  readonly createContext: (viewer: Viewer) => Context;
  readonly deadlineSeconds: (rootField: string) => number;
  readonly media: {
    readonly urls: Pick<MediaUrls, 'verify'>;
    readonly find: (video: {
      readonly teamId: string;
      readonly videoId: string;
    }) => Promise<VideoFile | null>;
  };
  /** By part, whether it works. */
  readonly health: () => Promise<Readonly<Record<string, boolean>>>;
}

export interface HttpServer {
  /**
   * Listens.
   * @throws {ListenError} when the port is taken, or must not be used
   */
  start(): Promise<{ readonly url: string; readonly port: number }>;
  /** Takes nothing new, ends sockets (1001) and streams, and closes. */
  stop(): Promise<void>;
}

/** The server cannot listen where it should. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
}

/** One server for everything that is reached by HTTP: GraphQL (JSON, events, WebSocket), GraphiQL, media, health. */
export function createHttpServer(options: HttpServerOptions): HttpServer {
  const { log, host, port, authenticate, production = false, graphiql = !production } = options;
  const server = createFastify(log);
  const mask = createErrorMask({ log, hints: !production });
  const yoga = createGraphQL({ ...options, production, mask });
  const keys = createKeyWatch(authenticate);
  registerHealth(server, options);
  registerMedia(server, options.media);
  registerGraphiql(server, { graphiql });
  const endStreams = registerGraphQL(server, { yoga, authenticate, keys });
  const endSockets = serveWebSockets({ ...options, server: server.server, yoga, keys, mask });
  // By then new requests are refused, and connections are still open.
  server.addHook('preClose', async () => {
    endStreams();
    await endSockets();
  });
  return {
    async start() {
      try {
        await server.listen({ host, port });
      } catch (error) {
        throw explain(error, host, port);
      }
      return addressOf(server, host);
    },
    stop: () => server.close(),
  };
}

function createFastify(log: Logger): FastifyInstance {
  // Typed as Fastify's own logger, so that the routes need not know ours.
  const loggerInstance: FastifyBaseLogger = log.child({ part: 'http' }, { level: 'warn' });
  const server: FastifyInstance = fastify({
    loggerInstance,
    forceCloseConnections: true,
    requestTimeout: 30_000,
    http: { headersTimeout: 10_000 },
    routerOptions: { maxParamLength: 1_000 },
    genReqId: () => randomBytes(8).toString('hex'),
  });
  void server.register(helmet, { contentSecurityPolicy: false, hsts: false });
  server.setNotFoundHandler((_request, reply) => reply.code(404).send({ message: 'There is nothing here.' }));
  server.setErrorHandler(
    (error: { readonly statusCode?: number; readonly message: string }, request, reply) => {
      const status = error.statusCode ?? 500;
      if (status < 500) return reply.code(status).send({ message: error.message });
      request.log.error({ err: error, errorId: request.id }, 'unexpected error');
      const message = `Unexpected error. Its id in the server's log is ${request.id}.`;
      const extensions = { code: 'INTERNAL_SERVER_ERROR', errorId: request.id };
      return reply.code(500).send({ message, errors: [{ message, extensions }] });
    },
  );
  return server;
}

function addressOf(server: FastifyInstance, host: string): { url: string; port: number } {
  const address = server.server.address();
  if (address === null || typeof address === 'string')
    throw new Error('the server does not listen on a port');
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  return { url: `http://${name}:${address.port}`, port: address.port };
}

function explain(error: unknown, host: string, port: number): unknown {
  // Errors of listen carry Node's code.
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  if (code === 'EADDRINUSE')
    return new ListenError(
      `Port ${port} of ${host} is taken: stop what listens there, or set PORT to another one (0 takes a free one).`,
    );
  if (code === 'EACCES')
    return new ListenError(`Port ${port} of ${host} may not be used by this user: set PORT to another one.`);
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return new ListenError(`${host} is no address of this machine: set HOST to another one.`);
  return error;
}
