import { Socket } from 'node:net';
import pg from 'pg';

const CONNECT_TIMEOUT_MS = 5000;

/** A connection that receives notifications. */
export interface ListenConnection {
  /** Runs a statement without values, after those before it. */
  readonly query: (statement: string) => Promise<unknown>;
  /** Ours, so that it can be destroyed: a half-open connection would not answer to a polite end. */
  readonly socket: Socket;
}

/** Where to connect, and how long a statement may take before it is rejected. */
export interface ListenConnectionOptions {
  readonly connectionString: string;
  readonly pingTimeoutSeconds: number;
}

/** Connects, within five seconds, and hands on every notification. */
export async function openListenConnection(
  { connectionString, pingTimeoutSeconds }: ListenConnectionOptions,
  onNotification: (channel: string, payload: string) => void,
): Promise<ListenConnection> {
  const socket = new Socket();
  const client = new pg.Client({
    connectionString,
    application_name: 'sluice listen',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: pingTimeoutSeconds * 1000,
    keepAlive: true,
    stream: () => socket,
  });
  // Whoever keeps the connection watches its socket; an error event without a listener would end the process.
  client.on('error', () => {});
  client.on('notification', ({ channel, payload = '' }) => onNotification(channel, payload));
  try {
    await client.connect();
    return { query: inTurn((statement) => client.query(statement)), socket };
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** One at a time: a connection that is given a further statement meanwhile only queues it, and will not for ever. */
function inTurn(run: (statement: string) => Promise<unknown>): ListenConnection['query'] {
  let last: Promise<unknown> = Promise.resolve();
  return (statement) => {
    const result = last.then(() => run(statement));
    last = result.catch(() => {});
    return result;
  };
}
