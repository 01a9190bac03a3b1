import { WaitError } from '../jobs/errors.ts';

/** At once to one receiver (origin and path) that is not known; what answers soon gets more, up to the most, what does not gets one. */
const FIRST = 2;
const MOST = 32;
/** At once to one origin, however many paths of it are written to. */
const PER_ORIGIN = 256;
/** Tries after the first at once, of all receivers: what failed before leaves room for what is new. */
const MOST_RETRIES = 400;
/** An answer that takes longer, or has not come by then, makes a receiver a slow one; in milliseconds. */
const SLOW_MS = 1_000;
/** How long somebody waits here for room before they give their place to others. */
const PATIENCE_MS = 500;
/** Those that are sent away come back one after the other, each so much later than the one before; in milliseconds. */
const SPACING_MS = { quick: 5, slow: 100 } as const;
const BACK_MS = { quick: 200, slow: 1_000, latest: 300_000 } as const;
/** How many receivers are remembered that nothing is sent to now. */
const MOST_KNOWN = 2_000;

/** Keeps receivers that are slow, hang or are written to a lot from taking all the places. */
export interface ReceiverLimit {
  /**
   * Does the work when its receiver has room for it.
   * @throws {WaitError} when that does not come soon: the place is better given to another
   * @throws the reason of the signal, when it aborts while waiting
   */
  run<T extends Answered>(entry: Entry, work: () => Promise<T>): Promise<T>;
}

interface Entry {
  readonly url: URL;
  readonly isRetry: boolean;
  readonly signal: AbortSignal;
}

/** What tells how a receiver does. */
interface Answered {
  /** Null when no answer came. */
  readonly statusCode: number | null;
  readonly durationMs: number;
}

/** Something that is under way, and when it began. */
interface Turn {
  readonly since: number;
}

interface Receiver {
  limit: number;
  /** The oldest first. */
  readonly running: Set<Turn>;
  /** When the next one that is sent away is to come back. */
  nextBack: number;
}

/** Makes a limit for one process. */
export function createReceiverLimit(): ReceiverLimit {
  const receivers = new Map<string, Receiver>();
  const origins = new Map<string, number>();
  const waiting = new Set<{ readonly entry: Entry; readonly start: () => void }>();
  let retries = 0;

  const receiverOf = ({ origin, pathname }: URL): Receiver => {
    const key = origin + pathname;
    const receiver = receivers.get(key) ?? { limit: FIRST, running: new Set(), nextBack: 0 };
    receivers.set(key, receiver);
    return receiver;
  };
  const fits = ({ url, isRetry }: Entry): boolean => {
    const { running, limit } = receiverOf(url);
    const isFull = running.size >= limit || (origins.get(url.origin) ?? 0) >= PER_ORIGIN;
    return !isFull && !(isRetry && retries >= MOST_RETRIES);
  };
  const count = ({ url, isRetry }: Entry, change: 1 | -1): void => {
    const left = (origins.get(url.origin) ?? 0) + change;
    if (left === 0) origins.delete(url.origin);
    else origins.set(url.origin, left);
    if (isRetry) retries += change;
  };
  const take = (entry: Entry): Turn => {
    const turn = { since: performance.now() };
    receiverOf(entry.url).running.add(turn);
    count(entry, 1);
    return turn;
  };
  const free = (entry: Entry, turn: Turn): void => {
    const receiver = receiverOf(entry.url);
    receiver.running.delete(turn);
    count(entry, -1);
    if (receivers.size > MOST_KNOWN && receiver.running.size === 0)
      receivers.delete(entry.url.origin + entry.url.pathname);
    for (const waiter of [...waiting]) if (fits(waiter.entry)) waiter.start();
  };

  /** Waits a moment for room. */
  const turnOf = (entry: Entry): Promise<Turn> =>
    new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(timer);
        waiting.delete(waiter);
        entry.signal.removeEventListener('abort', onAbort);
      };
      const start = () => {
        end();
        resolve(take(entry));
      };
      const onAbort = () => {
        end();
        reject(entry.signal.reason);
      };
      const waiter = { entry, start };
      const timer = setTimeout(() => {
        end();
        reject(sendAway(receiverOf(entry.url)));
      }, PATIENCE_MS);
      waiting.add(waiter);
      entry.signal.addEventListener('abort', onAbort);
    });

  return {
    async run(entry, work) {
      entry.signal.throwIfAborted();
      const hasRoom = fits(entry);
      if (!hasRoom && isSlow(receiverOf(entry.url))) throw sendAway(receiverOf(entry.url));
      const turn = hasRoom ? take(entry) : await turnOf(entry);
      try {
        const answer = await work();
        const isQuick = answer.statusCode !== null && answer.durationMs < SLOW_MS;
        const receiver = receiverOf(entry.url);
        receiver.limit = isQuick ? Math.min(receiver.limit * 2, MOST) : 1;
        return answer;
      } finally {
        free(entry, turn);
      }
    },
  };
}

function isSlow({ limit, running }: Receiver): boolean {
  const [oldest] = running;
  return limit === 1 || (oldest !== undefined && performance.now() - oldest.since > SLOW_MS);
}

function sendAway(receiver: Receiver): WaitError {
  const pace = isSlow(receiver) ? 'slow' : 'quick';
  const now = performance.now();
  const back = Math.max(now + BACK_MS[pace], receiver.nextBack + SPACING_MS[pace]);
  receiver.nextBack = Math.min(back, now + BACK_MS.latest);
  return new WaitError({ seconds: (receiver.nextBack - now) / 1000, reason: 'RECEIVER' });
}
