import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';

/** One message as it came in. */
export interface Received {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** How a message is answered: with a status and headers, or by whatever the function does. */
export type Reply =
  | number
  | { readonly status: number; readonly headers: Readonly<Record<string, string>> }
  | ((response: ServerResponse, request: IncomingMessage) => void);

/** No answer, and the end of the connection. */
export const reset: Reply = (_response, { socket }) => void socket.resetAndDestroy();
/** No answer. */
export const hang: Reply = () => {};

/** Somebody who is told of imports. */
export interface Receiver {
  readonly url: string;
  readonly received: readonly Received[];
  /** The messages that came to a path. */
  at(path: string): readonly Received[];
  close(): Promise<void>;
}

/**
 * Starts a receiver on a port of its own.
 * @param reply how each message is answered; `nth` counts those of a path from 0
 */
export async function startReceiver(
  reply: (message: Received, nth: number) => Reply = () => 200,
  host = '127.0.0.1',
): Promise<Receiver> {
  const received: Received[] = [];
  const at = (path: string) => received.filter((message) => message.path === path);
  const server = createServer(async (request, response) => {
    const message = await readMessage(request).catch(() => null);
    // Whoever was to send it has gone away in the middle of it.
    if (message === null) return;
    const nth = at(message.path).length;
    received.push(message);
    answer(reply(message, nth), request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as AddressInfo; // A server that listens on TCP has no other kind.
  return {
    url: `http://${host}:${port}`,
    received,
    at,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function readMessage(request: IncomingMessage): Promise<Received> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const headers = Object.entries(request.headers).map(([name, value]) => [name, String(value)] as const);
  return {
    path: request.url ?? '',
    headers: Object.fromEntries(headers),
    body: Buffer.concat(chunks).toString('utf8'),
  };
}

function answer(reply: Reply, request: IncomingMessage, response: ServerResponse): void {
  if (typeof reply === 'function') reply(response, request);
  else if (typeof reply === 'number') response.writeHead(reply).end();
  else response.writeHead(reply.status, reply.headers).end();
}

/** What a message says, verified with the library that receivers use; throws where no signature is right. */
export function verified(message: Received, secret: string) {
  return new Webhook(secret).verify(message.body, message.headers) as {
    type: string;
    timestamp: string;
    data: Record<string, unknown>;
  }; // the shape of every message
}

/** The id under which a receiver knows a message. */
export const idOf = ({ headers }: Received): string => headers['webhook-id'] ?? '';
