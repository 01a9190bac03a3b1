import { randomBytes } from 'node:crypto';
import fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { isDatabaseAway } from '../services/when-connected.ts';
import { databaseAway } from './errors.ts';

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

/**
 * Makes an HTTP server without routes, with time limits and errors that tell nothing of its inside.
 * @param trustedProxies addresses or networks of proxies that say for whom they ask
 */
export function createFastify(log: Logger, trustedProxies: readonly string[] = []): FastifyInstance {
  // Typed as Fastify's own logger, so that the routes need not know ours.
  const loggerInstance: FastifyBaseLogger = log.child({ part: 'http' }, { level: 'warn' });
  const server: FastifyInstance = fastify({
    loggerInstance,
    forceCloseConnections: true,
    trustProxy: trustedProxies.length > 0 && [...trustedProxies],
    // Uploads take longer; see `limitBodies`.
    requestTimeout: 0,
    http: { headersTimeout: 10_000 },
    routerOptions: { maxParamLength: 1_000 },
    genReqId: () => randomBytes(8).toString('hex'),
  });
  limitBodies(server);
  server.setNotFoundHandler((_request, reply) => reply.code(404).send({ message: 'There is nothing here.' }));
  server.setErrorHandler(
    (error: { readonly statusCode?: number; readonly message: string }, request, reply) => {
      const status = error.statusCode ?? 500;
      if (status < 500) return reply.code(status).send({ message: error.message });
      if (isDatabaseAway(error)) {
        request.log.warn({ err: error }, 'a request failed: the database cannot be reached');
        const { message, extensions, headers } = databaseAway();
        return reply
          .code(503)
          .headers(headers)
          .send({ message, errors: [{ message, extensions }] });
      }
      request.log.error({ err: error, errorId: request.id }, 'unexpected error');
      const message = `Unexpected error. Its id in the server's log is ${request.id}.`;
      const extensions = { code: 'INTERNAL_SERVER_ERROR', errorId: request.id };
      return reply.code(500).send({ message, errors: [{ message, extensions }] });
    },
  );
  return server;
}

/** How long the body of a request may take, in milliseconds; uploads see to theirs themselves. */
const BODY_MS = 30_000;
const UPLOADS = /^\/uploads(\/[^/?]+)?(\?|$)/;

/** Cuts requests whose body does not come to its end in time. */
function limitBodies(server: FastifyInstance): void {
  server.addHook('onRequest', async ({ raw, url }) => {
    const { 'content-length': length = '0', 'transfer-encoding': encoding } = raw.headers;
    if ((length === '0' && encoding === undefined) || UPLOADS.test(url)) return;
    const timer = setTimeout(() => {
      if (raw.complete || raw.destroyed) return;
      raw.socket.end('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    }, BODY_MS);
    raw.once('close', () => clearTimeout(timer));
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
