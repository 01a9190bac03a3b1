import { once } from 'node:events';
import { vi } from 'vitest';
import { type ClientOptions, WebSocket } from 'ws';
import { KEY, type SmallServer } from './support.ts';

/** Where sockets are opened. */
export const addressOf = ({ url }: SmallServer) => `${url.replace('http', 'ws')}/graphql`;
/** The first message of a client with the good key. */
export const INIT = { type: 'connection_init', payload: { authorization: `Bearer ${KEY}` } };

interface Message {
  readonly type: string;
  readonly id?: string;
  readonly payload?: unknown;
}

/** A socket as it is, so that it can also do what no client does. */
export interface RawSocket {
  readonly socket: WebSocket;
  readonly received: readonly Message[];
  /** With which code and reason it was closed. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  send(message: unknown): void;
  /** The first message of a type, once it is there. */
  message(type: string, id?: string): Promise<Message>;
}

/** Opens a socket, and shows no key yet. */
export async function open(of: SmallServer, options: ClientOptions = {}): Promise<RawSocket> {
  const socket = new WebSocket(addressOf(of), 'graphql-transport-ws', options);
  const received: Message[] = [];
  socket.on('message', (data) => received.push(JSON.parse(String(data))));
  socket.on('error', () => {});
  const closed = once(socket, 'close').then(([code, reason]) => ({ code, reason: String(reason) }));
  await Promise.race([once(socket, 'open'), closed]);
  return {
    socket,
    received,
    closed,
    send: (message) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    message: (type, id) =>
      vi.waitFor(
        () => {
          const found = received.find(
            (message) => message.type === type && (id === undefined || message.id === id),
          );
          if (!found) throw new Error(`no ${type} yet, but ${JSON.stringify(received)}`);
          return found;
        },
        { timeout: 60_000 },
      ),
  };
}

/** Opens a socket, and shows the good key. */
export async function admitted(of: SmallServer, options: ClientOptions = {}): Promise<RawSocket> {
  const raw = await open(of, options);
  raw.send(INIT);
  await raw.message('connection_ack');
  return raw;
}

/** The message that asks for an operation. */
export const subscribe = (id: string, query: string, variables?: object) => ({
  type: 'subscribe',
  id,
  payload: { query, variables },
});
