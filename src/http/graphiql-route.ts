import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { FastifyInstance } from 'fastify';
import { buildGraphiqlPage, type GraphiqlPage } from './graphiql.ts';

/**
 * GET /graphql: GraphiQL for a browser, where `graphiql` allows it. It holds no key, so anybody may have it. Operations are never
 * run by GET: anything else is answered with 405.
 */
export function registerGraphiql(
  server: FastifyInstance,
  { graphiql }: { readonly graphiql: boolean },
): void {
  let building: Promise<GraphiqlPage> | undefined;
  server.get('/graphql', async (request, reply) => {
    if (!graphiql || !request.headers.accept?.includes('text/html')) {
      const message = 'Send operations by POST, as JSON.';
      return reply
        .code(405)
        .header('allow', 'POST')
        .send({ errors: [{ message, extensions: { code: 'BAD_USER_INPUT' } }] });
    }
    building ??= buildGraphiqlPage().catch((error: unknown) => {
      building = undefined;
      throw error;
    });
    const page = await building;
    reply
      .type('text/html; charset=utf-8')
      .header('content-security-policy', page.csp(request.headers.host))
      .header('cache-control', 'no-cache')
      .header('vary', 'accept, accept-encoding')
      .header('etag', page.etag);
    if (request.headers['if-none-match'] === page.etag) return reply.code(304).send();
    if (/\bgzip\b/.test(request.headers['accept-encoding'] ?? ''))
      return reply.header('content-encoding', 'gzip').send(page.gzip);
    return reply.send(Readable.from([page.gzip]).pipe(createGunzip()));
  });
}
