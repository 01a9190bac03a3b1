import type pg from 'pg';
import type { Logger } from 'pino';

const MIN_INTERVAL_MS = 25;
const RETRY_DELAY_MS = 500;
const MAX_ATTEMPTS = 4;
const MAX_PER_STATEMENT = 1000;
// PostgreSQL manual, NOTIFY: "it must be specified as less than 8000 bytes".
const MAX_PAYLOAD_BYTES = 7999;

/** Sends notifications, few statements for many. */
export interface Notifier {
  /** Sends soon, without waiting. Equal pairs of channel and payload that wait together are sent once. */
  notify(channel: string, payload: string): void;
  /** Sends what still waits, once, and nothing from then on. */
  stop(): Promise<void>;
}

/** What notifications are sent over. */
export interface NotifierOptions {
  readonly pool: pg.Pool;
  readonly log: Logger;
}

interface Hint {
  readonly channel: string;
  readonly payload: string;
  readonly attempts: number;
}

/**
 * Makes a sender of notifications: at once when idle, then at most one statement every 25 ms, because every
 * commit that notifies takes a lock that all of them share. They are hints: one that cannot be sent is tried
 * again three times in some seconds, then dropped with a line in the log.
 */
export function createNotifier(options: NotifierOptions): Notifier {
  return new ConflatingNotifier(options);
}

class ConflatingNotifier implements Notifier {
  readonly #options: NotifierOptions;
  readonly #waiting = new Map<string, Hint>();
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> | undefined;
  /** When the next statement may go, on the clock of `performance.now()`. */
  #notBefore = 0;
  #isStopped = false;

  constructor(options: NotifierOptions) {
    this.#options = options;
  }

  notify(channel: string, payload: string): void {
    const bytes = Buffer.byteLength(payload);
    if (bytes > MAX_PAYLOAD_BYTES) {
      throw new RangeError(
        `the payload of a notification has ${bytes} bytes, more than ${MAX_PAYLOAD_BYTES}`,
      );
    }
    const key = `${channel}\0${payload}`;
    if (this.#isStopped || this.#waiting.has(key)) return;
    this.#waiting.set(key, { channel, payload, attempts: 0 });
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#sending;
    if (this.#waiting.size > 0) await this.#send();
  }

  #schedule(): void {
    if (this.#timer || this.#sending !== undefined || this.#isStopped || this.#waiting.size === 0) return;
    const delayMs = Math.max(0, this.#notBefore - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#sending = this.#send().then(() => {
        this.#sending = undefined;
        this.#schedule();
      });
    }, delayMs);
  }

  /** Sends one statement's worth and sets when the next may go. */
  async #send(): Promise<void> {
    const batch = [...this.#waiting].slice(0, MAX_PER_STATEMENT);
    for (const [key] of batch) this.#waiting.delete(key);
    this.#notBefore = performance.now() + MIN_INTERVAL_MS;
    try {
      const hints = batch.map(([, hint]) => hint);
      await sendAll(this.#options.pool, hints);
    } catch (error) {
      this.#notBefore = performance.now() + RETRY_DELAY_MS;
      this.#putBack(batch, error);
    }
  }

  #putBack(batch: readonly (readonly [string, Hint])[], error: unknown): void {
    const again = batch.filter(([, { attempts }]) => attempts + 1 < MAX_ATTEMPTS);
    for (const [key, hint] of again) {
      if (!this.#waiting.has(key)) this.#waiting.set(key, { ...hint, attempts: hint.attempts + 1 });
    }
    const dropped = batch.length - again.length;
    this.#options.log.warn({ err: error, retried: again.length, dropped }, 'notifications were not sent');
  }
}

async function sendAll(pool: pg.Pool, hints: readonly Hint[]): Promise<void> {
  await pool.query(
    'select pg_notify(channel, payload) from unnest($1::text[], $2::text[]) as hint (channel, payload)',
    [hints.map(({ channel }) => channel), hints.map(({ payload }) => payload)],
  );
}
