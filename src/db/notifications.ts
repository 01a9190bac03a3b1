import type pg from 'pg';
import type { Logger } from 'pino';
import { createListener, type Listener } from './listener.ts';
import { createNotifier, type Notifier } from './notifier.ts';

/** LISTEN and NOTIFY of one process. Payloads are hints: the tables are the truth. */
export interface Notifications extends Listener, Pick<Notifier, 'notify'> {}

/** What notifications go over. */
export interface NotificationsOptions {
  /** For the one connection that listens: a direct one, not through a proxy that pools by transaction. */
  readonly connectionString: string;
  /** For sending. */
  readonly pool: pg.Pool;
  readonly log: Logger;
  /** How long the listening connection may be silent before it is pinged; 10 when not given. */
  readonly pingSeconds?: number;
  /** How long the answer to a ping may take before the connection counts as lost; 5 when not given. */
  readonly pingTimeoutSeconds?: number;
}

/**
 * Joins a listener and a sender of notifications. Channels listened to before `start()` are in effect when it
 * resolves; a later `listen()` takes effect within a round trip.
 */
export function createNotifications(options: NotificationsOptions): Notifications {
  const { connectionString, pool, log, pingSeconds = 10, pingTimeoutSeconds = 5 } = options;
  const listener = createListener({ connectionString, log, pingSeconds, pingTimeoutSeconds });
  const notifier = createNotifier({ pool, log });
  return {
    start: () => listener.start(),
    async stop() {
      await Promise.all([listener.stop(), notifier.stop()]);
    },
    listen: (channel, callback) => listener.listen(channel, callback),
    onReconnect: (callback) => listener.onReconnect(callback),
    get connected() {
      return listener.connected;
    },
    notify: (channel, payload) => notifier.notify(channel, payload),
  };
}
