import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { DocumentNode, ExecutionArgs, GraphQLError } from 'graphql';
import { CloseCode, type ServerOptions } from 'graphql-ws';
import { type Extra, useServer } from 'graphql-ws/use/ws';
import type { Logger } from 'pino';
import { WebSocketServer } from 'ws';
import type { Viewer } from '../services/viewer.ts';
import { type Authenticate, bearerKey, RECHECK_MS } from './auth.ts';
import { withCode } from './errors.ts';
import type { Yoga } from './yoga.ts';

export interface WebSocketOptions {
  readonly server: Server;
  readonly yoga: Yoga;
  readonly authenticate: Authenticate;
  /** Origins that pages may come from, beside the server's own. */
  readonly allowOrigins: readonly string[];
  readonly log: Logger;
}

/** A client that has not shown its key in the upgrade's headers, as no page can, may send no more than this at once. */
const MAX_PAYLOAD_BYTES = 1024 * 1024;
/** One that has: a startImport of 10,000 videos fits. */
const MAX_PAYLOAD_WITH_KEY_BYTES = 32 * 1024 * 1024;
const MAX_OPERATIONS = 50;
const PING_MS = 12_000;

/** What is known of an open socket: the viewer once it has shown its key. */
interface SocketExtra extends Extra {
  viewer?: Viewer;
  recheck?: NodeJS.Timeout;
}

interface Prepared {
  readonly execute: (args: ExecutionArgs) => unknown;
  readonly subscribe: (args: ExecutionArgs) => unknown;
}

/**
 * GraphQL over WebSocket (graphql-transport-ws) beside the HTTP routes, on the same port and with the same limits.
 * @returns ends all sockets with 1001
 */
export function serveWebSockets(options: WebSocketOptions): () => Promise<void> {
  const { server, authenticate, log } = options;
  const small = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_PAYLOAD_BYTES,
    perMessageDeflate: false,
  });
  const large = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_PAYLOAD_WITH_KEY_BYTES,
    perMessageDeflate: false,
  });
  const ends = [small, large].map((sockets) => useServer(createProtocol(options), sockets, PING_MS));

  const upgrade = async (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (pathOf(request) !== '/graphql') return refuse(socket, '404 Not Found');
    if (!isAllowedOrigin(request, options.allowOrigins)) return refuse(socket, '403 Forbidden');
    const key = bearerKey(request.headers.authorization);
    const sockets = key !== null && (await authenticate(key)) !== null ? large : small;
    sockets.handleUpgrade(request, socket, head, (open) => sockets.emit('connection', open, request));
  };
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    upgrade(request, socket, head).catch((error: unknown) => {
      log.error({ err: error }, 'a socket could not be opened');
      refuse(socket, '503 Service Unavailable');
    });
  };
  server.on('upgrade', onUpgrade);
  return async () => {
    server.off('upgrade', onUpgrade);
    await Promise.all(ends.map((end) => end.dispose()));
  };
}

const pathOf = ({ url }: IncomingMessage) => url?.split('?')[0];

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

/** Browsers name the page's origin, which must be ours or an allowed one; other clients name none. */
function isAllowedOrigin({ headers }: IncomingMessage, allowed: readonly string[]): boolean {
  const { origin, host } = headers;
  if (origin === undefined) return true;
  return allowed.includes(origin) || origin === `http://${host}` || origin === `https://${host}`;
}

function createProtocol({
  yoga,
  authenticate,
}: WebSocketOptions): ServerOptions<Record<string, unknown>, SocketExtra> {
  return {
    connectionInitWaitTimeout: 3_000,
    async onConnect({ connectionParams, extra }) {
      const key =
        bearerKey(connectionParams?.authorization) ?? bearerKey(extra.request.headers.authorization);
      const viewer = key === null ? null : await authenticate(key);
      if (key === null || viewer === null) return false;
      extra.viewer = viewer;
      extra.recheck = recheck(extra, key, authenticate);
      return true;
    },
    onDisconnect: ({ extra }) => clearInterval(extra.recheck),
    onClose: ({ extra }) => clearInterval(extra.recheck),
    onSubscribe: (context, _id, payload) => {
      if (context.extra.viewer === undefined) throw new Error('an operation came before the key');
      if (Object.keys(context.subscriptions).length > MAX_OPERATIONS) {
        context.extra.socket.close(CloseCode.BadRequest, `At most ${MAX_OPERATIONS} operations at once`);
        return [];
      }
      return prepare(yoga, context.extra.viewer, payload);
    },
    // Prepared by onSubscribe, with everything that Yoga's plugins add.
    execute: (args) => (args.rootValue as Prepared).execute(args) as never,
    subscribe: (args) => (args.rootValue as Prepared).subscribe(args) as never,
  };
}

function recheck(extra: SocketExtra, key: string, authenticate: Authenticate): NodeJS.Timeout {
  const check = async () => {
    // A database that does not answer says nothing about the key.
    const viewer = await authenticate(key).catch(() => undefined);
    if (viewer === null) extra.socket.close(CloseCode.Forbidden, 'Forbidden');
    else if (viewer !== undefined) extra.viewer = viewer;
  };
  return setInterval(() => void check(), RECHECK_MS);
}

interface Payload {
  readonly query: string;
  readonly operationName?: string | null | undefined;
  readonly variables?: Record<string, unknown> | null | undefined;
}

/** Parses and validates an operation as over HTTP. @returns what is to be executed, or what is wrong with it */
async function prepare(
  yoga: Yoga,
  viewer: Viewer,
  payload: Payload,
): Promise<ExecutionArgs | readonly GraphQLError[]> {
  const { schema, execute, subscribe, contextFactory, parse, validate } = yoga.getEnveloped({
    viewer,
    params: payload,
  });
  let document: DocumentNode;
  try {
    document = parse(payload.query);
  } catch (error) {
    return [withCode(error as GraphQLError)]; // what a parser throws
  }
  const errors = validate(schema, document) as readonly GraphQLError[];
  if (errors.length > 0) return errors.map(withCode);
  const prepared: Prepared = { execute, subscribe };
  return {
    schema,
    document,
    operationName: payload.operationName ?? null,
    variableValues: payload.variables ?? null,
    contextValue: await contextFactory(),
    rootValue: prepared,
  };
}
