import type { IncomingMessage } from 'node:http';
import { type DocumentNode, type ExecutionArgs, GraphQLError } from 'graphql';
import { CloseCode, type ServerOptions } from 'graphql-ws';
import type { WebSocket } from 'ws';
import type { WatchViewer } from '../schema/context.ts';
import type { Viewer } from '../services/viewer.ts';
import type { AddressReader } from './address.ts';
import { bearerKey } from './auth.ts';
import type { ErrorMask } from './errors.ts';
import { isTooMany, type KeyGuard } from './key-guard.ts';
import { hasLostScope, type KeyWatch } from './key-watch.ts';
import type { RequestContext, Yoga } from './yoga.ts';

export interface ProtocolOptions {
  readonly yoga: Yoga;
  readonly guard: KeyGuard;
  readonly keys: KeyWatch;
  readonly mask: ErrorMask;
  /** How many sockets may be open with one key. */
  readonly socketsPerKey: number;
  readonly addressOf: AddressReader;
}

const MAX_OPERATIONS = 50;
/** Of our own: the protocol has no such code. Clients that try again get in when another has gone. */
const TOO_MANY_SOCKETS = 4290;

/** What is known of an open socket: the viewer once it has shown its key. */
export interface SocketExtra {
  readonly request: IncomingMessage;
  readonly socket: WebSocket;
  viewer?: Viewer;
  watchViewer?: WatchViewer;
  /** Undoes what was done when it had shown its key. */
  leave?: () => void;
}

/** Yoga's functions for one operation, with what all its plugins add. */
interface Prepared {
  readonly execute: (args: ExecutionArgs) => unknown;
  readonly subscribe: (args: ExecutionArgs) => unknown;
}

/**
 * What graphql-ws asks for at each step of the protocol. A key is shown in connectionParams or in the upgrade's Authorization
 * header, and looked at again while the socket is open; without a good one, or after too many wrong ones from its address, it
 * is closed with 4403, and with 4290 when too many are open with the same key. Operations of all kinds are taken, at most 50 at
 * once; one more is answered with RATE_LIMITED.
 */
export function createProtocol({
  yoga,
  guard,
  keys,
  mask,
  socketsPerKey,
  addressOf,
}: ProtocolOptions): ServerOptions<Record<string, unknown>, SocketExtra> {
  const places = createPlaces(socketsPerKey);
  const end = ({ extra }: { readonly extra: SocketExtra }) => extra.leave?.();
  return {
    connectionInitWaitTimeout: 3_000,
    async onConnect({ connectionParams, extra }) {
      const { request, socket } = extra;
      const shown = connectionParams?.authorization ?? request.headers.authorization;
      const key = bearerKey(connectionParams?.authorization) ?? bearerKey(request.headers.authorization);
      const viewer = await guard.admit(key === null ? shown : `Bearer ${key}`, addressOf(request));
      if (key === null || viewer === null || isTooMany(viewer) || socket.readyState !== socket.OPEN)
        return false;
      const giveUp = places.take(key);
      if (giveUp === null) {
        socket.close(TOO_MANY_SOCKETS, 'Too many sockets with this key');
        return false;
      }
      extra.viewer = viewer;
      extra.watchViewer = (tell) => keys.watch(key, tell);
      const unwatch = keys.watch(key, (now) => {
        if (now === null || hasLostScope(viewer, now)) socket.close(CloseCode.Forbidden, 'Forbidden');
        else extra.viewer = now;
      });
      extra.leave = () => {
        unwatch();
        giveUp();
      };
      return true;
    },
    onDisconnect: end,
    onClose: end,
    onSubscribe({ subscriptions, extra }, _id, payload) {
      const { viewer, watchViewer } = extra;
      if (viewer === undefined || watchViewer === undefined)
        throw new Error('an operation came before the key');
      if (Object.keys(subscriptions).length > MAX_OPERATIONS) return [tooMany()];
      return prepare(yoga, { viewer, watchViewer }, payload);
    },
    // Prepared by onSubscribe.
    execute: (args) => (args.rootValue as Prepared).execute(args) as never,
    subscribe: (args) => (args.rootValue as Prepared).subscribe(args) as never,
    // Also what breaks in the middle of a stream, which the library would tell in its own words.
    onError: (_context, _id, _payload, errors) => errors.map((error) => mask(error).toJSON()),
  };
}

/** Counts what is open with each key. */
function createPlaces(limit: number) {
  const taken = new Map<string, number>();
  return {
    /** @returns gives the place up, once; null when there is none left */
    take(key: string): (() => void) | null {
      const count = taken.get(key) ?? 0;
      if (count >= limit) return null;
      taken.set(key, count + 1);
      let isTaken = true;
      return () => {
        if (!isTaken) return;
        isTaken = false;
        const left = (taken.get(key) ?? 1) - 1;
        if (left > 0) taken.set(key, left);
        else taken.delete(key);
      };
    },
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
  request: RequestContext,
  payload: Payload,
): Promise<ExecutionArgs | readonly GraphQLError[]> {
  const { schema, execute, subscribe, contextFactory, parse, validate } = yoga.getEnveloped({
    ...request,
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
