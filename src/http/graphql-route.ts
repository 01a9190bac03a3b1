import { PassThrough, pipeline, Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Viewer } from '../services/viewer.ts';
import { type Answer, watchClient } from './answer.ts';
import { bearerKey } from './auth.ts';
import { FRAMING, MAX_SMALL_BODY_BYTES, requestContext } from './graphql-request.ts';
import type { JsonRequest } from './json-path.ts';
import { isTooMany, type KeyGuard } from './key-guard.ts';
import { hasLostScope, type KeyWatch } from './key-watch.ts';
import { cutWhenStalled } from './stalled.ts';

/** 10,000 videos with long URLs and metadata fit. */
const MAX_BODY_BYTES = 32 * 1024 * 1024;

export interface GraphQLRouteOptions {
  readonly answer: Answer;
  readonly guard: KeyGuard;
  readonly keys: KeyWatch;
}

declare module 'fastify' {
  interface FastifyRequest {
    viewer: Viewer | null;
  }
}

const failure = (message: string, code: string) => ({ errors: [{ message, extensions: { code } }] });

/**
 * POST /graphql: JSON only, so that no form of another site can execute anything; one operation a request; answered as JSON, or
 * as server-sent events for `Accept: text/event-stream`. The key is looked at before the body is read.
 * @returns ends the event streams that are open
 */
export function registerGraphQL(server: FastifyInstance, options: GraphQLRouteOptions): () => void {
  const streams = new Set<PassThrough>();
  const { answer } = options;
  server.decorateRequest('viewer', null);
  void server.register((scope, _options, done) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(
      'application/json',
      { parseAs: 'string', bodyLimit: MAX_BODY_BYTES },
      (_request, body, read) => read(null, body),
    );
    scope.post('/graphql', {
      bodyLimit: MAX_BODY_BYTES,
      onRequest: (request, reply) => admit(request, reply, options.guard),
      errorHandler: (error: { readonly statusCode?: number; readonly message: string }, _request, reply) => {
        const status = error.statusCode ?? 500;
        if (status >= 500) throw error;
        return reply.code(status).send(failure(error.message, 'BAD_USER_INPUT'));
      },
      handler: async (request, reply) => {
        const asked = toJsonRequest(request, reply, options.keys);
        if (asked === null) return reply.code(400).send(failure('The body must be JSON.', 'BAD_USER_INPUT'));
        const response = await answer(asked, watchClient(reply.raw));
        // Whoever has left is told nothing, and nothing is wrong.
        if (response === 'gone') return reply.hijack();
        if ('payload' in response)
          return reply.header('content-type', response.contentType).send(response.payload);
        reply.code(response.status);
        for (const [name, value] of response.headers)
          if (!FRAMING.has(name.toLowerCase())) reply.header(name, value);
        if (!response.headers.get('content-type')?.startsWith('text/event-stream') || response.body === null)
          return reply.send(await response.text());
        // What Yoga answers with can be iterated, which its type does not tell.
        const stream = openStream(response.body as unknown as AsyncIterable<Uint8Array>, streams);
        endWithKey(request, stream, options.keys);
        cutWhenStalled(reply.raw);
        return reply
          .headers({ 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no' })
          .send(stream);
      },
    });
    done();
  });
  return () => {
    for (const stream of streams) stream.end();
  };
}

async function admit(request: FastifyRequest, reply: FastifyReply, guard: KeyGuard) {
  const { headers, ip } = request;
  const admitted = await guard.admit(headers.authorization, ip);
  if (admitted !== null && !isTooMany(admitted)) {
    request.viewer = admitted;
    return;
  }
  if (!(Number(headers['content-length']) <= MAX_SMALL_BODY_BYTES)) reply.header('connection', 'close');
  if (admitted === null) {
    const message = 'An API key is needed: send it as "Authorization: Bearer slc_…".';
    return reply.code(401).header('www-authenticate', 'Bearer').send(failure(message, 'UNAUTHENTICATED'));
  }
  const { retryAfterSeconds } = admitted;
  const message = `Too many wrong API keys came from this address. Try again in ${retryAfterSeconds} seconds.`;
  const error = { message, extensions: { code: 'RATE_LIMITED', retryAfterSeconds } };
  return reply
    .code(429)
    .header('retry-after', String(retryAfterSeconds))
    .send({ errors: [error] });
}

/** What is to be executed; null without a body. */
function toJsonRequest(
  { viewer, body, headers }: FastifyRequest,
  reply: FastifyReply,
  keys: KeyWatch,
): JsonRequest | null {
  const key = bearerKey(headers.authorization);
  if (key === null || viewer === null || typeof body !== 'string') return null;
  const tellRetryAfter = (seconds: number) => void reply.header('retry-after', String(seconds));
  const context = requestContext({ key, viewer, keys, tellRetryAfter });
  return { body, accept: headers.accept ?? 'application/json', context };
}

/** The events as a stream that can be ended from outside; whatever ends it ends the operation behind it too. */
function openStream(events: AsyncIterable<Uint8Array>, streams: Set<PassThrough>): PassThrough {
  const stream = new PassThrough();
  streams.add(stream);
  // Iterated, not read by a reader: whose cancel waits for the chunk that was asked for last, up to Yoga's next ping.
  // Fastify sees to errors of the stream; this one only forgets it.
  pipeline(Readable.from(events), stream, () => streams.delete(stream));
  return stream;
}

/** Ends a stream whose key is revoked or expires meanwhile, or may do less. */
function endWithKey({ headers, viewer }: FastifyRequest, stream: PassThrough, keys: KeyWatch): void {
  const key = bearerKey(headers.authorization);
  if (key === null || viewer === null) return;
  const unwatch = keys.watch(key, (now) => {
    if (now === null || hasLostScope(viewer, now)) stream.end();
  });
  stream.once('close', unwatch);
}
