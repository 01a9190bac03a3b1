import { randomBytes } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { graphiqlCsp, renderGraphiqlPage } from './graphiql.ts';

/** GET /graphql in a browser: GraphiQL, with everything it needs in the page. It holds no key, so anybody may have it. */
export function registerGraphiql(server: FastifyInstance): void {
  server.get('/graphql', async (request, reply) => {
    if (!request.headers.accept?.includes('text/html')) {
      return reply
        .code(405)
        .header('allow', 'POST')
        .send({
          errors: [{ message: 'Send operations by POST, as JSON.', extensions: { code: 'BAD_USER_INPUT' } }],
        });
    }
    const nonce = randomBytes(16).toString('base64');
    return reply
      .type('text/html; charset=utf-8')
      .header('content-security-policy', graphiqlCsp({ nonce }))
      .header('cache-control', 'no-store')
      .send(renderGraphiqlPage({ nonce }));
  });
}
