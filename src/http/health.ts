import type { FastifyInstance } from 'fastify';

export interface HealthOptions {
  /** By the name of each part, whether it works. */
  readonly health: () => Promise<Readonly<Record<string, boolean>>>;
}

/**
 * For supervisors and load balancers, without a key: `/health/live` answers 200 while the process serves requests,
 * `/health/ready` 200 when all of its parts work, else 503 with the names of those that do not.
 */
export function registerHealth(server: FastifyInstance, { health }: HealthOptions): void {
  server.get('/health/live', async (_request, reply) =>
    reply.header('cache-control', 'no-store').send({ status: 'ok' }),
  );

  server.get('/health/ready', async (request, reply) => {
    const parts = await health().catch((error: unknown) => {
      request.log.error({ err: error }, 'the health of the parts cannot be told');
      return { health: false };
    });
    const failing = Object.entries(parts).flatMap(([name, works]) => (works ? [] : [name]));
    return reply
      .code(failing.length === 0 ? 200 : 503)
      .header('cache-control', 'no-store')
      .send({ status: failing.length === 0 ? 'ok' : 'unavailable', failing });
  });
}
