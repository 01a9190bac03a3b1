import { EventEmitter, once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';

/** How long requests that are being answered have to end, in milliseconds, before their connections are cut. */
const DRAIN_MS = 5_000;

/** What a server has answered, and what is open, at this moment. */
export interface HttpFigures {
  /** Answers by class (`2xx`), and those whose client left before their end (`aborted`); since the start. */
  readonly requests: ReadonlyMap<string, number>;
  readonly webSockets: number;
}

/** Who is being answered. */
export interface Traffic {
  readonly isDraining: () => boolean;
  figures(): HttpFigures;
  /** Takes no new requests but those for health; settles when the others have been answered, or after five seconds. */
  drain(): Promise<void>;
}

/** Watches the requests and the sockets of a server. Comes before its routes. */
export function watchTraffic(server: FastifyInstance): Traffic {
  const emptied = new EventEmitter();
  const requests = new Map(['2xx', '3xx', '4xx', '5xx', 'aborted'].map((kind) => [kind, 0]));
  const open = new Set<ServerResponse>();
  let isDraining = false;
  const settle = (response: ServerResponse) => {
    if (!open.delete(response)) return;
    const kind = response.writableFinished ? `${Math.floor(response.statusCode / 100)}xx` : 'aborted';
    requests.set(kind, (requests.get(kind) ?? 0) + 1);
    if (open.size === 0) emptied.emit('empty');
  };
  const ofConnection = new WeakMap<Duplex, Set<ServerResponse>>();
  server.server.on('connection', (connection: Duplex) => {
    const own = new Set<ServerResponse>();
    ofConnection.set(connection, own);
    // Of an answer that waits behind another one, Node does not say that it is lost with their connection.
    connection.once('close', () => own.forEach(settle));
  });
  server.server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    const own = ofConnection.get(socket);
    open.add(response);
    own?.add(response);
    response.once('close', () => {
      own?.delete(response);
      settle(response);
    });
  });
  const sockets = countSockets(server.server);
  server.addHook('onRequest', async (request, reply) => {
    if (!isDraining || request.url.startsWith('/health/')) return;
    const message = 'This server is stopping. Try again.';
    const extensions = { code: 'INTERNAL_SERVER_ERROR' };
    reply.code(503).headers({ connection: 'close', 'retry-after': '1', 'cache-control': 'no-store' });
    return reply.send({ message, errors: [{ message, extensions }] });
  });
  return {
    isDraining: () => isDraining,
    figures: () => ({ requests, webSockets: sockets.count() }),
    async drain() {
      isDraining = true;
      sockets.stop();
      if (open.size === 0) return;
      const late = new AbortController();
      await Promise.race([
        once(emptied, 'empty', { signal: late.signal }).catch(() => {}),
        delay(DRAIN_MS, undefined, { signal: late.signal }).catch(() => {}),
      ]);
      late.abort();
    },
  };
}

function countSockets(server: Server): { count(): number; stop(): void } {
  let count = 0;
  const onUpgrade = (_request: IncomingMessage, connection: Duplex) => {
    count += 1;
    connection.once('close', () => {
      count -= 1;
    });
  };
  server.on('upgrade', onUpgrade);
  return {
    count: () => count,
    // A listener of this event that does nothing would leave connections open that nobody closes.
    stop: () => void server.off('upgrade', onUpgrade),
  };
}
