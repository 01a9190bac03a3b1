import { setTimeout as sleep } from 'node:timers/promises';
import { isConnectionError } from '../db/connection-errors.ts';

const PAUSE_MS = 1_000;

/** Whether an error says that the database could not be reached, or is read-only for a time, as while it fails over. */
export const isDatabaseAway = (error: unknown): boolean => isConnectionError(error);

/**
 * Reads from the database, and waits where it cannot be reached: whoever watches is told late then, but told.
 * @throws the signal's reason when it is aborted; any other error of the read
 */
export async function whenConnected<T>(read: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await read();
    } catch (error) {
      if (!isConnectionError(error)) throw error;
      // Jittered, so that not all come back at the same moment.
      await sleep(PAUSE_MS * (0.5 + Math.random()), undefined, { signal });
    }
  }
}
