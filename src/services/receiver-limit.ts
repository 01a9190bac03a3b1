import { WaitError } from '../jobs/errors.ts';

/** At once to one receiver (origin and path) that is not known or slow; what answers soon gets more, up to the most. */
const FIRST = 1;
const MOST = 32;
/** At once to one origin, however many paths of it are written to. */
const PER_ORIGIN = 400;
/** Tries after the first at once, of all receivers: what failed before leaves room for what is new. */
const MOST_RETRIES = 250;
/** An answer that takes longer, or has not come by then, makes a receiver a slow one; in milliseconds. */
const SLOW_MS = 2_000;
/** How long somebody waits here for room before they give their place to others. */
const PATIENCE_MS = 500;
/** Those that are sent away come back after so long at the soonest, up to twice that, in milliseconds; */
const BACK_MS = { quick: 200, unknown: 1_000, slow: 5_000 } as const;
/** each so much later than the one before, */
const SPACING_MS = { quick: 5, unknown: 10, slow: 100 } as const;
/** but not later than this: a receiver may be well again. */
const LATEST_MS = 300_000;
/** How many receivers are remembered that nothing is sent to now. */
const MOST_KNOWN = 2_000;

/** Keeps receivers that are slow, hang or are written to a lot from taking all the places. */
export interface ReceiverLimit {
  /**
   * Does the work when its receiver has room for it; null tells nothing of how that does.
   * @throws {WaitError} when that does not come soon: the place is better given to another
   * @throws the reason of the signal, when it aborts while waiting
   */
  run<T extends Answered | null>(entry: Entry, work: () => Promise<T>): Promise<T>;
}

/** What a receiver is known by. */
interface Entry {
  readonly receiver: string;
  readonly origin: string;
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
  /** Its latest answer was late, or did not come. */
  isSlow: boolean;
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

  const known = ({ receiver: key }: Entry): Receiver => {
    const receiver = receivers.get(key) ?? { limit: FIRST, isSlow: false, running: new Set(), nextBack: 0 };
    receivers.set(key, receiver);
    return receiver;
  };
  const fits = (entry: Entry): boolean => {
    const { running, limit } = known(entry);
    const isFull = running.size >= limit || (origins.get(entry.origin) ?? 0) >= PER_ORIGIN;
    return !isFull && !(entry.isRetry && retries >= MOST_RETRIES);
  };
  const count = ({ origin, isRetry }: Entry, change: 1 | -1): void => {
    const left = (origins.get(origin) ?? 0) + change;
    if (left === 0) origins.delete(origin);
    else origins.set(origin, left);
    if (isRetry) retries += change;
  };
  const take = (entry: Entry): Turn => {
    const turn = { since: performance.now() };
    known(entry).running.add(turn);
    count(entry, 1);
    return turn;
  };
  const free = (entry: Entry, turn: Turn): void => {
    const receiver = known(entry);
    receiver.running.delete(turn);
    count(entry, -1);
    if (receivers.size > MOST_KNOWN && receiver.running.size === 0) receivers.delete(entry.receiver);
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
        reject(sendAway(known(entry)));
      }, PATIENCE_MS);
      waiting.add(waiter);
      entry.signal.addEventListener('abort', onAbort);
    });

  return {
    async run(entry, work) {
      entry.signal.throwIfAborted();
      const hasRoom = fits(entry);
      if (!hasRoom && isSlow(known(entry))) throw sendAway(known(entry));
      const turn = hasRoom ? take(entry) : await turnOf(entry);
      try {
        const answer = await work();
        if (answer === null) return answer;
        const isQuick = answer.statusCode !== null && answer.durationMs < SLOW_MS;
        const receiver = known(entry);
        receiver.isSlow = !isQuick;
        receiver.limit = isQuick ? Math.min(receiver.limit * 2, MOST) : FIRST;
        return answer;
      } finally {
        free(entry, turn);
      }
    },
  };
}

function isSlow({ isSlow: wasSlow, running }: Receiver): boolean {
  const [oldest] = running;
  return wasSlow || (oldest !== undefined && performance.now() - oldest.since > SLOW_MS);
}

function sendAway(receiver: Receiver): WaitError {
  const pace = isSlow(receiver) ? 'slow' : receiver.limit > FIRST ? 'quick' : 'unknown';
  const now = performance.now();
  const soonest = now + BACK_MS[pace] * (1 + Math.random());
  const back = Math.min(Math.max(soonest, receiver.nextBack + SPACING_MS[pace]), now + LATEST_MS);
  receiver.nextBack = back;
  return new WaitError({ seconds: (back - now) / 1000, reason: 'RECEIVER' });
}
