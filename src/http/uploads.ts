import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { hasScope } from '../services/viewer.ts';
import { isTooMany, type KeyGuard } from './key-guard.ts';
import type { UploadServer } from './upload-server.ts';

/** A connection that brings nothing for so long is cut; its client goes on where it was, over another one. */
const IDLE_MS = 60_000;
const METHODS = 'POST, HEAD, PATCH, DELETE, OPTIONS';

export interface UploadRouteOptions {
  readonly uploads: UploadServer;
  readonly guard: KeyGuard;
  readonly allowOrigins: readonly string[];
}

/**
 * /uploads and /uploads/:id: tus 1.0, for keys that may write and for upload tokens. What was uploaded is not given out
 * again. The key is looked at before the body is read.
 */
export function registerUploads(server: FastifyInstance, options: UploadRouteOptions): void {
  const { uploads } = options;
  void server.register((scope, _options, done) => {
    scope.removeAllContentTypeParsers();
    // The bytes are the upload server's business.
    scope.addContentTypeParser('*', (_request, _body, read) => read(null));
    for (const url of ['/uploads', '/uploads/:id']) {
      scope.route({
        method: ['POST', 'HEAD', 'PATCH', 'DELETE'],
        url,
        onRequest: (request, reply) => admit(request, reply, options),
        handler: (request, reply) => pass(request, reply, uploads),
      });
      // A browser asks without a key whether it may send one.
      scope.options(url, (request, reply) => pass(request, reply, uploads));
      scope.get(url, { exposeHeadRoute: false }, (_request, reply) =>
        reply.code(405).header('allow', METHODS).send({ message: 'Uploads are not given out.' }),
      );
    }
    done();
  });
}

async function admit(
  request: FastifyRequest,
  reply: FastifyReply,
  { guard, allowOrigins }: UploadRouteOptions,
): Promise<FastifyReply | undefined> {
  const { authorization, origin = '' } = request.headers;
  const viewer = await guard.admit(authorization, request.ip);
  const isKnown = viewer !== null && !isTooMany(viewer);
  if (isKnown && (viewer.uploadToken !== undefined || hasScope(viewer, 'WRITE'))) {
    request.viewer = viewer;
    return;
  }
  if (allowOrigins.includes(origin)) reply.header('access-control-allow-origin', origin);
  // What the client goes on sending is not read.
  reply.headers({ vary: 'origin', connection: 'close' });
  if (viewer !== null && isTooMany(viewer)) {
    reply.header('retry-after', String(viewer.retryAfterSeconds));
    return reply.code(429).send({ message: 'Too many wrong API keys came from this address.' });
  }
  if (viewer !== null) return reply.code(403).send({ message: 'This key may not upload: it needs WRITE.' });
  const message = 'An API key or an upload token is needed: send it as "Authorization: Bearer …".';
  return reply.code(401).header('www-authenticate', 'Bearer').send({ message });
}

/** Lets the upload server answer, past Fastify. */
async function pass(request: FastifyRequest, reply: FastifyReply, uploads: UploadServer): Promise<void> {
  const { raw } = request;
  reply.hijack();
  for (const [name, value] of Object.entries(reply.getHeaders()))
    if (value !== undefined) reply.raw.setHeader(name, value);
  reply.raw.setHeader('vary', 'origin');
  reply.raw.setHeader('cache-control', 'no-store');
  raw.setTimeout(IDLE_MS);
  try {
    await uploads.handle(raw, reply.raw, request.viewer);
  } catch (error) {
    request.log.error({ err: error }, 'a request for an upload was not answered');
    reply.raw.destroy();
  }
}
