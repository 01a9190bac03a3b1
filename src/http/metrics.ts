import type { FastifyInstance, FastifyRequest } from 'fastify';
import ipaddr from 'ipaddr.js';
import { hasScope } from '../services/viewer.ts';
import { isTooMany, type KeyGuard } from './key-guard.ts';

/** All figures, as Prometheus reads them. */
export interface MetricsText {
  readonly contentType: string;
  readonly text: string;
}

export interface MetricsOptions {
  readonly metrics: () => Promise<MetricsText>;
  /** Finds who is behind a key; null: everybody may read them. */
  readonly guard: KeyGuard | null;
}

/** GET /metrics: for an ADMIN key, or without a key for who asks from this machine. */
export function registerMetrics(server: FastifyInstance, { metrics, guard }: MetricsOptions): void {
  server.get('/metrics', async (request, reply) => {
    reply.header('cache-control', 'no-store');
    const refusal = guard === null ? null : await refusalOf(request, guard);
    if (refusal === 401) reply.header('www-authenticate', 'Bearer');
    if (refusal !== null)
      return reply
        .code(refusal)
        .send({ message: 'Metrics are shown to an ADMIN key, and without a key on the machine itself.' });
    const { contentType, text } = await metrics();
    return reply.header('content-type', contentType).send(text);
  });
}

async function refusalOf(request: FastifyRequest, guard: KeyGuard): Promise<401 | 403 | 429 | null> {
  const { authorization } = request.headers;
  if (authorization === undefined) return isLocal(request) ? null : 401;
  const viewer = await guard.admit(authorization, request.ip);
  if (viewer === null) return 401;
  if (isTooMany(viewer)) return 429;
  return hasScope(viewer, 'ADMIN') ? null : 403;
}

/** What a proxy says about whom it asks for. It may say anything, so that it never makes anybody local. */
const FORWARDED = /^(forwarded|via|x-forwarded-.*|x-real-ip|x-client-ip|true-client-ip|cf-connecting-ip)$/;

/**
 * Whether somebody on this machine asks, and for himself: neither a proxy beside us for a stranger, nor a page of a
 * stranger's whose name leads to this machine.
 */
function isLocal({ raw, headers }: FastifyRequest): boolean {
  const peer = raw.socket.remoteAddress;
  if (peer === undefined || !isLoopback(peer)) return false;
  if (Object.keys(headers).some((name) => FORWARDED.test(name))) return false;
  const name = (headers.host ?? '').replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  return name === 'localhost' || isLoopback(name);
}

const isLoopback = (address: string): boolean =>
  ipaddr.isValid(address) && ipaddr.process(address).range() === 'loopback';
