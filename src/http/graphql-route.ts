import { once } from 'node:events';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Viewer } from '../services/viewer.ts';
import { type Authenticate, bearerKey, RECHECK_MS } from './auth.ts';
import type { Yoga } from './yoga.ts';

/** 10,000 videos with long URLs and metadata fit. */
const MAX_BODY_BYTES = 32 * 1024 * 1024;

declare module 'fastify' {
  interface FastifyRequest {
    viewer: Viewer | null;
  }
}

const failure = (message: string, code: string) => ({ errors: [{ message, extensions: { code } }] });

/**
 * POST /graphql: JSON only, so that no form of another site can execute anything; one operation a request; answered as JSON, or
 * as server-sent events for `Accept: text/event-stream`. The key is looked at before the body is read.
 */
export function registerGraphQL(
  server: FastifyInstance,
  { yoga, authenticate }: { readonly yoga: Yoga; readonly authenticate: Authenticate },
): void {
  server.decorateRequest('viewer', null);
  void server.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(
      'application/json',
      { parseAs: 'string', bodyLimit: MAX_BODY_BYTES },
      (_request, body, done) => done(null, body),
    );
    scope.post('/graphql', {
      bodyLimit: MAX_BODY_BYTES,
      onRequest: async (request, reply) => {
        const key = bearerKey(request.headers.authorization);
        request.viewer = key === null ? null : await authenticate(key);
        if (request.viewer === null) {
          return reply
            .code(401)
            .header('www-authenticate', 'Bearer')
            .send(
              failure('An API key is needed: send it as "Authorization: Bearer slc_…".', 'UNAUTHENTICATED'),
            );
        }
      },
      errorHandler: (error: { readonly statusCode?: number; readonly message: string }, _request, reply) => {
        const status = error.statusCode ?? 500;
        if (status >= 500) throw error;
        return reply.code(status).send(failure(error.message, 'BAD_USER_INPUT'));
      },
      handler: (request, reply) => execute(request, reply, { yoga, authenticate }),
    });
  });
}

async function execute(
  request: FastifyRequest,
  reply: FastifyReply,
  { yoga, authenticate }: { readonly yoga: Yoga; readonly authenticate: Authenticate },
): Promise<FastifyReply> {
  const { viewer, body } = request;
  if (viewer === null || typeof body !== 'string')
    return reply.code(400).send(failure('The body must be JSON.', 'BAD_USER_INPUT'));
  const gone = new AbortController();
  void once(reply.raw, 'close').then(() => gone.abort());
  const { accept = 'application/json', authorization } = request.headers;
  const response = await yoga.fetch(
    'http://localhost/graphql',
    { method: 'POST', headers: { accept, 'content-type': 'application/json' }, body, signal: gone.signal },
    { viewer },
  );
  reply.code(response.status);
  for (const [name, value] of response.headers) if (name !== 'content-length') reply.header(name, value);
  if (!response.headers.get('content-type')?.startsWith('text/event-stream') || response.body === null) {
    return reply.send(await response.text());
  }
  // The global ReadableStream and that of node:stream/web are one class under two types.
  const stream = Readable.fromWeb(response.body as unknown as ReadableStream);
  endWithKey(stream, { key: bearerKey(authorization), authenticate, gone: gone.signal });
  return reply
    .header('cache-control', 'no-cache, no-transform')
    .header('x-accel-buffering', 'no')
    .send(stream);
}

/** Ends a stream whose key is revoked or expires meanwhile. */
function endWithKey(
  stream: Readable,
  {
    key,
    authenticate,
    gone,
  }: { readonly key: string | null; readonly authenticate: Authenticate; readonly gone: AbortSignal },
): void {
  const check = async () => {
    // A database that does not answer says nothing about the key.
    const viewer = key === null ? null : await authenticate(key).catch(() => undefined);
    if (viewer === null) stream.destroy();
  };
  const timer = setInterval(() => void check(), RECHECK_MS);
  gone.addEventListener('abort', () => {
    clearInterval(timer);
    stream.destroy();
  });
}
