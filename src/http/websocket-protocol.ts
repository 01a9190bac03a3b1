import type { IncomingMessage } from 'node:http';
import { type DocumentNode, type ExecutionArgs, GraphQLError } from 'graphql';
import { CloseCode, type ServerOptions } from 'graphql-ws';
import type { WebSocket } from 'ws';
import type { Viewer } from '../services/viewer.ts';
import { bearerKey } from './auth.ts';
import type { ErrorMask } from './errors.ts';
import { isTooMany, type KeyGuard } from './key-guard.ts';
import type { KeyWatch } from './key-watch.ts';
import type { Yoga } from './yoga.ts';

export interface ProtocolOptions {
  readonly yoga: Yoga;
  readonly guard: KeyGuard;
  readonly keys: KeyWatch;
  readonly mask: ErrorMask;
}

const MAX_OPERATIONS = 50;

/** What is known of an open socket: the viewer once it has shown its key. */
export interface SocketExtra {
  readonly request: IncomingMessage;
  readonly socket: WebSocket;
  viewer?: Viewer;
  unwatch?: () => void;
}

/** Yoga's functions for one operation, with what all its plugins add. */
interface Prepared {
  readonly execute: (args: ExecutionArgs) => unknown;
  readonly subscribe: (args: ExecutionArgs) => unknown;
}

/**
 * What graphql-ws asks for at each step of the protocol. A key is shown in connectionParams or in the upgrade's Authorization
 * header, and looked at again while the socket is open; without a good one, or after too many wrong ones from its address, it is closed with 4403. Operations of all kinds are
 * taken, at most 50 at once; one more is answered with RATE_LIMITED.
 */
export function createProtocol({
  yoga,
  guard,
  keys,
  mask,
}: ProtocolOptions): ServerOptions<Record<string, unknown>, SocketExtra> {
  const end = ({ extra }: { readonly extra: SocketExtra }) => extra.unwatch?.();
  return {
    connectionInitWaitTimeout: 3_000,
    async onConnect({ connectionParams, extra }) {
      const { request, socket } = extra;
      const shown = connectionParams?.authorization ?? request.headers.authorization;
      const key = bearerKey(connectionParams?.authorization) ?? bearerKey(request.headers.authorization);
      const viewer = await guard.admit(key === null ? shown : `Bearer ${key}`, request.socket.remoteAddress);
      if (key === null || viewer === null || isTooMany(viewer) || socket.readyState !== socket.OPEN)
        return false;
      extra.viewer = viewer;
      extra.unwatch = keys.watch(key, (now) => {
        if (now === null) socket.close(CloseCode.Forbidden, 'Forbidden');
        else extra.viewer = now;
      });
      return true;
    },
    onDisconnect: end,
    onClose: end,
    onSubscribe({ subscriptions, extra }, _id, payload) {
      if (extra.viewer === undefined) throw new Error('an operation came before the key');
      if (Object.keys(subscriptions).length > MAX_OPERATIONS) return [tooMany()];
      return prepare(yoga, extra.viewer, payload);
    },
    // Prepared by onSubscribe.
    execute: (args) => (args.rootValue as Prepared).execute(args) as never,
    subscribe: (args) => (args.rootValue as Prepared).subscribe(args) as never,
    // Also what breaks in the middle of a stream, which the library would tell in its own words.
    onError: (_context, _id, _payload, errors) => errors.map((error) => mask(error).toJSON()),
  };
}

const tooMany = () =>
  new GraphQLError(`At most ${MAX_OPERATIONS} operations at once on one socket.`, {
    extensions: { code: 'RATE_LIMITED', retryAfterSeconds: 1 },
  });

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
    const errors = validate(schema, document) as readonly GraphQLError[]; // what graphql's validate answers
    if (errors.length > 0) return errors;
  } catch (error) {
    return [error as GraphQLError]; // what the parser and the limits throw; onError gives it its code
  }
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
