import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { CloseCode, handleProtocols, makeServer } from 'graphql-ws';
import type { Logger } from 'pino';
import { type WebSocket, WebSocketServer } from 'ws';
import { isDatabaseAway } from '../services/when-connected.ts';
import { createDelivery } from './delivery.ts';
import type { Sharing } from './sharing.ts';
import { createProtocol, type ProtocolOptions, type SocketExtra } from './websocket-protocol.ts';

type Protocol = ReturnType<typeof createProtocol>;

export interface WebSocketOptions extends ProtocolOptions {
  readonly server: Server;
  /** Origins that pages may come from, beside the server's own. */
  readonly allowOrigins: readonly string[];
  readonly log: Logger;
  readonly sharing: Pick<Sharing, 'deliver'>;
}

/** A startImport of 10,000 videos fits, as over HTTP. */
const MAX_PAYLOAD_BYTES = 32 * 1024 * 1024;
/** What a client may send in all before it has shown its key. */
const MAX_BYTES_WITHOUT_KEY = 64 * 1024;
const PING_MS = 12_000;
/** How long a client may take to answer the close before its socket is cut. */
const CLOSE_MS = 2_000;
const TOO_BIG = 1009;
const GOING_AWAY = 1001;
const TRY_AGAIN_LATER = 1013;

/**
 * GraphQL over WebSocket (graphql-transport-ws) beside the HTTP routes, on the same port and with the same limits.
 * @returns takes no more sockets and ends all there are with 1001
 */
export function serveWebSockets(options: WebSocketOptions): () => Promise<void> {
  const { server, allowOrigins, log } = options;
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_PAYLOAD_BYTES,
    perMessageDeflate: false,
    handleProtocols,
  });
  const protocol = makeServer(withDeliveries(createProtocol(options), options.sharing));

  const opened = (socket: WebSocket, request: IncomingMessage, connection: Duplex) => {
    const extra: SocketExtra = { request, socket };
    // ws has closed it by then, with the code that fits.
    socket.on('error', (error) => log.debug({ err: error }, 'a socket was closed for what it sent'));
    limitUntilAdmitted(extra, connection);
    keepAlive(socket);
    const closed = protocol.opened(adapt(socket, log), extra);
    socket.once('close', (code, reason) => {
      closed(code, String(reason)).catch((error: unknown) =>
        log.error({ err: error }, 'a socket was not closed cleanly'),
      );
    });
  };
  const onUpgrade = (request: IncomingMessage, connection: Duplex, head: Buffer) => {
    connection.on('error', () => connection.destroy());
    if (request.url?.split('?')[0] !== '/graphql') return refuse(connection, '404 Not Found');
    if (!isAllowedOrigin(request, allowOrigins)) return refuse(connection, '403 Forbidden');
    sockets.handleUpgrade(request, connection, head, (socket) => opened(socket, request, connection));
  };
  server.on('upgrade', onUpgrade);
  return async () => {
    server.off('upgrade', onUpgrade);
    await Promise.all([...sockets.clients].map(endSocket));
    sockets.close();
  };
}

/** What goes to many is sent past the protocol's own way of writing messages, which would write it for each of them. */
function withDeliveries(protocol: Protocol, sharing: WebSocketOptions['sharing']): Protocol {
  return {
    ...protocol,
    async onSubscribe(context, id, payload) {
      const prepared = await protocol.onSubscribe?.(context, id, payload);
      if (prepared && 'contextValue' in prepared && typeof prepared.contextValue === 'object')
        sharing.deliver(prepared.contextValue ?? {}, createDelivery(context.extra.socket, id));
      return prepared;
    },
  };
}

async function endSocket(socket: WebSocket): Promise<void> {
  const cut = new AbortController();
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.close(GOING_AWAY, 'Going away');
  const late = delay(CLOSE_MS, undefined, { signal: cut.signal }).then(
    () => socket.terminate(),
    () => {},
  );
  await Promise.race([closed, late]);
  cut.abort();
}

function refuse(connection: Duplex, status: string): void {
  connection.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

/** Browsers name the page's origin, which must be ours or an allowed one; other clients name none. */
function isAllowedOrigin({ headers }: IncomingMessage, allowed: readonly string[]): boolean {
  const { origin, host } = headers;
  if (origin === undefined) return true;
  return allowed.includes(origin) || origin === `http://${host}` || origin === `https://${host}`;
}

/** The library's own adapter to ws writes to the console; otherwise this does what that one does. */
function adapt(socket: WebSocket, log: Logger): Parameters<ReturnType<typeof makeServer>['opened']>[0] {
  return {
    protocol: socket.protocol,
    send: (data) =>
      new Promise((resolve, reject) => {
        if (socket.readyState !== socket.OPEN) return resolve();
        socket.send(data, (error) => (error ? reject(error) : resolve()));
      }),
    close: (code, reason) => socket.close(code, reason),
    onMessage: (take) =>
      socket.on('message', (data, isBinary) => {
        if (isBinary) return socket.close(CloseCode.BadRequest, 'Invalid message received');
        take(String(data)).catch((error: unknown) => {
          // What cannot be sent any more is no fault.
          if (socket.readyState !== socket.OPEN) return;
          if (isDatabaseAway(error)) {
            log.warn({ err: error }, 'a socket was closed: the database cannot be reached');
            // Clients come again after this one, and never after an internal error.
            return socket.close(TRY_AGAIN_LATER, 'Try again later');
          }
          log.error({ err: error }, 'a message of a socket was not handled');
          socket.close(CloseCode.InternalServerError, 'Internal server error');
        });
      }),
  };
}

/** ws knows one limit for all; what a client without a key sends is not even gathered up to that. */
function limitUntilAdmitted(extra: SocketExtra, connection: Duplex): void {
  let bytes = 0;
  const count = (chunk: Buffer) => {
    bytes += chunk.length;
    if (extra.viewer !== undefined) return connection.off('data', count);
    if (bytes <= MAX_BYTES_WITHOUT_KEY) return;
    connection.off('data', count);
    extra.socket.close(TOO_BIG, 'Too big for a client without a key');
    setImmediate(() => extra.socket.terminate());
  };
  connection.on('data', count);
}

/** Finds out about clients that are gone without a word: one that does not answer a ping before the next is cut. */
function keepAlive(socket: WebSocket): void {
  let isAlive = true;
  socket.on('pong', () => {
    isAlive = true;
  });
  const timer = setInterval(() => {
    if (!isAlive) return socket.terminate();
    isAlive = false;
    if (socket.readyState === socket.OPEN) socket.ping();
  }, PING_MS);
  socket.once('close', () => clearInterval(timer));
}
