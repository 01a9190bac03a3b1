import { randomBytes } from 'node:crypto';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { limitBody } from './body-limit.ts';
import { failureOf } from './failure.ts';

/** Where a server listens. */
export interface ListenOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** The setting that the port comes from, for messages. */
  readonly setting: string;
}

/** The server cannot listen where it should. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
}

/** What a server is made with. */
export interface FastifyOptions {
  readonly log: Logger;
  /** Addresses or networks of proxies that say for whom they ask; none unless given. */
  readonly trustedProxies?: readonly string[];
  /** Is offered each request before the routes. @returns whether it is taken */
  readonly takes?: (request: IncomingMessage, response: ServerResponse) => boolean;
}

/** Makes an HTTP server without routes, with time limits and errors that tell nothing of its inside. */
export function createFastify({ log, trustedProxies = [], takes }: FastifyOptions): FastifyInstance {
  // Typed as Fastify's own logger, so that the routes need not know ours.
  const loggerInstance: FastifyBaseLogger = log.child({ part: 'http' }, { level: 'warn' });
  const server: FastifyInstance = fastify({
    loggerInstance,
    forceCloseConnections: true,
    trustProxy: trustedProxies.length > 0 && [...trustedProxies],
    routerOptions: { maxParamLength: 1_000 },
    genReqId: makeRequestId,
    // Uploads take longer; see `limitBodies`.
    requestTimeout: 0,
    http: { headersTimeout: 10_000 },
  });
  if (takes !== undefined) offerFirst(server.server, takes);
  limitBodies(server);
  server.setNotFoundHandler((_request, reply) => reply.code(404).send({ message: 'There is nothing here.' }));
  server.setErrorHandler(
    (error: { readonly statusCode?: number; readonly message: string }, request, reply) => {
      const { statusCode = 500 } = error;
      if (statusCode < 500) return reply.code(statusCode).send({ message: error.message });
      const { status, headers, body } = failureOf(error, request.id, request.log);
      return reply.code(status).headers(headers).send(body);
    },
  );
  return server;
}

/** Not by a server of our own: with that, Fastify would not listen on all addresses of a name. */
function offerFirst(server: Server, takes: NonNullable<FastifyOptions['takes']>): void {
  // Fastify has just added it, and nobody else has.
  const [handle] = server.listeners('request') as RequestListener[];
  if (handle === undefined) throw new Error('the server has no listener for requests');
  server.off('request', handle);
  server.on('request', (request, response) => {
    if (!takes(request, response)) handle(request, response);
  });
}

/** Under which the log has what went wrong with a request. */
export const makeRequestId = (): string => randomBytes(8).toString('hex');

const UPLOADS = /^\/uploads(\/[^/?]+)?(\?|$)/;

/** Cuts requests whose body does not come to its end in time; uploads see to theirs themselves. */
function limitBodies(server: FastifyInstance): void {
  server.addHook('onRequest', async ({ raw, url }) => {
    const { 'content-length': length = '0', 'transfer-encoding': encoding } = raw.headers;
    if ((length !== '0' || encoding !== undefined) && !UPLOADS.test(url)) raw.once('close', limitBody(raw));
  });
}

/**
 * Lets a server listen.
 * @returns where it is reached from this machine
 * @throws {ListenError} when the port is taken, or must not be used
 */
export async function listen(
  server: FastifyInstance,
  options: ListenOptions,
): Promise<{ readonly url: string; readonly port: number }> {
  const { host, port } = options;
  try {
    await server.listen({ host, port });
  } catch (error) {
    throw explain(error, options);
  }
  const address = server.server.address();
  if (address === null || typeof address === 'string')
    throw new Error('the server does not listen on a port');
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  return { url: `http://${name}:${address.port}`, port: address.port };
}

function explain(error: unknown, { host, port, setting }: ListenOptions): unknown {
  // Errors of listen carry Node's code.
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  if (code === 'EADDRINUSE')
    return new ListenError(
      `Port ${port} of ${host} is taken: stop what listens there, or set ${setting} to another one (0 takes a free one).`,
    );
  if (code === 'EACCES')
    return new ListenError(
      `Port ${port} of ${host} may not be used by this user: set ${setting} to another one.`,
    );
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return new ListenError(`${host} is no address of this machine: set HOST to another one.`);
  return error;
}
