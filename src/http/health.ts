import type { FastifyInstance } from 'fastify';

export interface HealthOptions {
  /** By part, whether it works. */
  readonly health: () => Promise<Readonly<Record<string, boolean>>>;
}

const HEADERS = { 'cache-control': 'no-store' };

/**
 * For supervisors and load balancers, without a key. /health/live: 200 while the process answers at all. /health/ready: 200 when
 * every part works, otherwise 503 with the names of those that do not.
 */
export function registerHealth(server: FastifyInstance, { health }: HealthOptions): void {
  server.get('/health/live', (_request, reply) => reply.headers(HEADERS).send({ status: 'ok' }));
  server.get('/health/ready', async (request, reply) => {
    reply.headers(HEADERS);
    try {
      const failing = namesOfFailing(await health());
      if (failing.length === 0) return reply.send({ status: 'ok' });
      return reply.code(503).send({ status: 'failing', failing });
    } catch (error) {
      request.log.error({ err: error }, 'the health of the parts could not be found out');
      return reply.code(503).send({ status: 'failing', failing: ['health'] });
    }
  });
}

function namesOfFailing(parts: Readonly<Record<string, boolean>>): readonly string[] {
  return Object.keys(parts)
    .filter((part) => !parts[part])
    .sort();
}
