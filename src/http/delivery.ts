import { MessageType, stringifyMessage } from 'graphql-ws';
import type { WebSocket } from 'ws';

/** Hands JSON that was made for many to one operation of one client; settles when the socket has taken it. */
export type Delivery = (json: Buffer) => Promise<void>;

const EMPTY = '{}}';
const CLOSING_BRACE = 0x7d;
/** A message is text, also where it is held as bytes. */
const TEXT = { binary: false };

/**
 * Sends the results of one operation past the library, which would write each of them anew for each socket: its own message for
 * this operation with the JSON in the place of the payload.
 */
export function createDelivery(socket: WebSocket, id: string): Delivery {
  const message = stringifyMessage({ id, type: MessageType.Next, payload: {} });
  if (!message.endsWith(EMPTY)) throw new Error('a message has no place for its payload');
  const head = Buffer.from(message.slice(0, -EMPTY.length));
  return (json) =>
    new Promise((resolve, reject) => {
      if (socket.readyState !== socket.OPEN) return resolve();
      const whole = Buffer.allocUnsafe(head.length + json.length + 1);
      head.copy(whole);
      json.copy(whole, head.length);
      whole[whole.length - 1] = CLOSING_BRACE;
      socket.send(whole, TEXT, (error) => (error ? reject(error) : resolve()));
    });
}
