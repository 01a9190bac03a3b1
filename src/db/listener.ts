import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Logger } from 'pino';
import { callSafely, createChannels } from './channels.ts';
import { type ListenConnection, openListenConnection } from './listen-connection.ts';

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 5000;

/** How the connection for LISTEN is kept. */
export interface ListenerOptions {
  /** A direct connection: a proxy that pools by transaction swallows notifications. */
  readonly connectionString: string;
  readonly log: Logger;
  readonly pingSeconds: number;
  readonly pingTimeoutSeconds: number;
}

/** Receives notifications over one connection of its own. */
export interface Listener {
  /** Connects and listens to every channel asked for so far; rejected when the first connection fails. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Calls back with the payload of every notification on the channel, until the function it returns is called. */
  listen(channel: string, callback: (payload: string) => void): () => void;
  /** Calls back after a lost connection was replaced and all channels are listened to again. */
  onReconnect(callback: () => void): () => void;
  readonly connected: boolean;
}

/**
 * Makes a listener on one connection that heals: a lost connection is replaced with growing, jittered pauses of
 * 0.1 to 5 seconds; one that is silent but not closed is found by a ping and given up. What was sent meanwhile
 * is gone, so that whoever watches tables reads them again after `onReconnect`.
 */
export function createListener(options: ListenerOptions): Listener {
  return new ReconnectingListener(options);
}

class ReconnectingListener implements Listener {
  connected = false;
  readonly #options: ListenerOptions;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  readonly #reconnectCallbacks = new Set<() => void>();
  readonly #channels;
  #connection: ListenConnection | undefined;
  #running: Promise<void> | undefined;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#channels = createChannels({
      log: options.log,
      onFirst: (channel) => void this.#tell('listen', channel),
      onLast: (channel) => void this.#tell('unlisten', channel),
    });
  }

  async start(): Promise<void> {
    const first = await this.#connect();
    this.#running = this.#keepConnected(first);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#connection?.socket.destroy();
    await this.#running;
  }

  listen(channel: string, callback: (payload: string) => void): () => void {
    return this.#channels.add(channel, callback);
  }

  onReconnect(callback: () => void): () => void {
    const own = () => callback();
    this.#reconnectCallbacks.add(own);
    return () => void this.#reconnectCallbacks.delete(own);
  }

  async #connect(): Promise<ListenConnection> {
    const connection = await openListenConnection(this.#options, (channel, payload) =>
      this.#channels.dispatch(channel, payload),
    );
    // From here on listen() speaks to this connection itself, so that no channel falls between.
    this.#connection = connection;
    await Promise.all(this.#channels.names().map((channel) => this.#tell('listen', channel)));
    this.connected = !connection.socket.destroyed;
    return connection;
  }

  /** Sends LISTEN or UNLISTEN; a connection on which that fails is given up. */
  async #tell(statement: 'listen' | 'unlisten', channel: string): Promise<void> {
    const connection = this.#connection;
    try {
      await connection?.query(`${statement} ${pg.escapeIdentifier(channel)}`);
    } catch (error) {
      this.#log.debug({ err: error, channel }, `${statement} failed`);
      connection?.socket.destroy();
    }
  }

  async #keepConnected(first: ListenConnection): Promise<void> {
    let connection: ListenConnection | undefined = first;
    while (connection) {
      await this.#untilLost(connection);
      this.connected = false;
      this.#connection = undefined;
      connection = await this.#reconnect();
      if (connection) for (const callback of [...this.#reconnectCallbacks]) callSafely(callback, this.#log);
    }
  }

  /** Pings the connection from time to time; resolves when it is closed, whoever closed it. */
  async #untilLost({ query, socket }: ListenConnection): Promise<void> {
    const closed = new AbortController();
    const onClose = () => closed.abort();
    socket.once('close', onClose);
    if (socket.destroyed || this.#stopping.signal.aborted) socket.destroy();
    while (!socket.destroyed) {
      const pause = sleep(this.#options.pingSeconds * 1000, undefined, { signal: closed.signal });
      await pause.catch(() => {});
      if (closed.signal.aborted) break;
      await query('select 1').catch((error: Error) => socket.destroy(error));
    }
    if (!socket.closed) await once(socket, 'close').catch(() => {});
    if (!this.#stopping.signal.aborted) this.#log.warn('the connection for notifications was lost');
  }

  /** Tries until it has a new connection; gives undefined when it is told to stop. */
  async #reconnect(): Promise<ListenConnection | undefined> {
    const { signal } = this.#stopping;
    for (let delayMs = FIRST_DELAY_MS; ; delayMs = Math.min(delayMs * 2, LONGEST_DELAY_MS)) {
      await sleep(delayMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {});
      if (signal.aborted) return undefined;
      try {
        const connection = await this.#connect();
        if (signal.aborted) connection.socket.destroy();
        if (connection.socket.destroyed) continue;
        this.#log.info('the connection for notifications is there again');
        return connection;
      } catch (error) {
        this.#log.warn({ err: error }, 'cannot connect for notifications; trying again');
      }
    }
  }
}
