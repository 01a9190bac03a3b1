import type { FastifyInstance } from 'fastify';

/** Whether a part works; LIMPS: it does not, or in part only, and the rest gets along with that, if more slowly. */
export type PartState = boolean | 'LIMPS';

export interface HealthOptions {
  /** By part, whether it works. */
  readonly health: () => Promise<Readonly<Record<string, PartState>>>;
}

const HEADERS = { 'cache-control': 'no-store' };

/**
 * For supervisors and load balancers, without a key. /health/live: 200 while the process answers at all. /health/ready: 200 when
 * every part works or can be done without, which are named then, otherwise 503 with the names of those that do not work.
 */
export function registerHealth(server: FastifyInstance, { health }: HealthOptions): void {
  server.get('/health/live', (_request, reply) => reply.headers(HEADERS).send({ status: 'ok' }));
  server.get('/health/ready', async (request, reply) => {
    reply.headers(HEADERS);
    try {
      const parts = await health();
      const failing = namesOf(parts, false);
      if (failing.length > 0) return reply.code(503).send({ status: 'failing', failing });
      const limping = namesOf(parts, 'LIMPS');
      return reply.send({ status: 'ok', ...(limping.length === 0 ? {} : { degraded: limping }) });
    } catch (error) {
      request.log.error({ err: error }, 'the health of the parts could not be found out');
      return reply.code(503).send({ status: 'failing', failing: ['health'] });
    }
  });
}

function namesOf(parts: Readonly<Record<string, PartState>>, state: PartState): readonly string[] {
  return Object.keys(parts)
    .filter((part) => parts[part] === state)
    .sort();
}
