import { setTimeout as sleep } from 'node:timers/promises';
import { SourceError } from './errors.ts';
import { StallError } from './stall-guard.ts';

const MAX_TRIES = 3;
const FIRST_DELAY_MS = 200;

/** Whoever is asked to wait longer, in seconds, is told so and decides itself. */
const MAX_RETRY_AFTER_SECONDS = 10;

/**
 * Does something up to three times, as long as it fails with a retryable SourceError; waits as long as the source asks
 * for, and otherwise a little longer each time. A stall is not tried again: it has taken its time.
 * @throws what the last try failed with; the reason of the signal, when it aborts while waiting.
 */
export async function tryAgain<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      const delayMs = tries < MAX_TRIES ? delayAfter(error, tries) : null;
      if (delayMs === null) throw error;
      // The timer would reject with an AbortError of its own, and not with the reason.
      await sleep(delayMs, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }
}

/** How long to wait before the next try, in milliseconds; null if there is to be none. */
function delayAfter(error: unknown, tries: number): number | null {
  if (!(error instanceof SourceError) || !error.retryable || error instanceof StallError) return null;
  const { retryAfterSeconds } = error;
  if (retryAfterSeconds === undefined) return FIRST_DELAY_MS * 2 ** (tries - 1) * (0.8 + 0.4 * Math.random());
  return retryAfterSeconds > MAX_RETRY_AFTER_SECONDS ? null : retryAfterSeconds * 1000;
}
