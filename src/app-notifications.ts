import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { Metric } from './app-metrics.ts';
import type { Notifications } from './db/notifications.ts';

const CHANNEL = 'sluice_delivery';
const EVERY_MS = 30_000;
/** What takes longer counts as lost, in milliseconds; generous, for a busy machine is no broken one. */
const PATIENCE_MS = 3_000;

/** Whether notifications arrive; without them everything is found by looking for it, which is slower. */
export interface Delivery {
  readonly works: boolean;
  readonly metrics: readonly Metric[];
  stop(): void;
}

/**
 * Sends notifications to itself and sees whether they come: at once, after each reconnect and twice a minute. A proxy that
 * pools by transaction takes LISTEN without a word, and loses them all.
 */
export function watchDelivery(notifications: Notifications, log: Logger): Delivery {
  const own = randomUUID();
  let works = true;
  let verdict: NodeJS.Timeout | undefined;
  const judge = () => {
    verdict = undefined;
    // What a connection loses that is away by now is told of by whoever keeps it.
    if (!works || !notifications.connected) return;
    works = false;
    log.warn(
      'notifications of the database do not arrive: changes are looked for every two seconds instead. Set LISTEN_DATABASE_URL to a direct connection, not through a pooling proxy',
    );
  };
  const ask = () => {
    if (verdict !== undefined || !notifications.connected) return;
    verdict = setTimeout(judge, PATIENCE_MS);
    notifications.notify(CHANNEL, own);
  };
  const unlisten = notifications.listen(CHANNEL, (payload) => {
    if (payload !== own) return;
    clearTimeout(verdict);
    verdict = undefined;
    if (!works) log.info('notifications of the database arrive again');
    works = true;
  });
  const offReconnect = notifications.onReconnect(() => {
    // What was asked over the connection before is lost with it.
    clearTimeout(verdict);
    verdict = undefined;
    ask();
  });
  const timer = setInterval(ask, EVERY_MS);
  timer.unref();
  ask();
  return {
    get works() {
      return works;
    },
    metrics: [
      {
        name: 'sluice_notifications_up',
        help: 'Whether notifications of the database arrive; 0: changes are looked for every two seconds.',
        type: 'gauge',
        read: () => [{ value: notifications.connected && works ? 1 : 0 }],
      },
    ],
    stop() {
      clearInterval(timer);
      clearTimeout(verdict);
      offReconnect();
      unlisten();
    },
  };
}
