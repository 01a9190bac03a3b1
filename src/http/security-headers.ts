import { IncomingMessage, type OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import helmet from 'helmet';

/**
 * Has every answer tell browsers to be careful with it.
 * @returns the headers, for answers that the server does not give itself
 */
export function setHeaders(server: FastifyInstance): OutgoingHttpHeaders {
  const headers = securityHeaders();
  server.addHook('onRequest', (_request, reply, done) => {
    reply.headers(headers);
    done();
  });
  return headers;
}

/** Pages have a policy of their own for content, and whether HTTPS is spoken is the proxy's business. */
function securityHeaders(): OutgoingHttpHeaders {
  const request = new IncomingMessage(new Socket());
  const response = new ServerResponse(request);
  helmet({ contentSecurityPolicy: false, strictTransportSecurity: false })(request, response, () => {});
  return { ...response.getHeaders() };
}
