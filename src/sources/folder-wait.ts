import { StallError } from './stall-guard.ts';

const ANSWER_TIMEOUT_MS = 60_000;

export interface WaitOptions<T> {
  readonly signal: AbortSignal;
  /** Gets what comes when nobody waits for it any more. */
  readonly undo?: (late: T) => unknown;
  /** In milliseconds. */
  readonly timeoutMs?: number;
}

/**
 * Waits for the file system, but not beyond an abort, and not for ever: a share that does not answer cannot be
 * interrupted, only left alone.
 * @throws the reason of the signal, when it aborts
 * @throws {StallError} when it takes a minute
 */
export async function waitFor<T>(work: Promise<T>, options: WaitOptions<T>): Promise<T> {
  const { signal, undo = () => {}, timeoutMs = ANSWER_TIMEOUT_MS } = options;
  let isLate = false;
  let leave: (reason: unknown) => void = () => {};
  const left = new Promise<never>((_resolve, reject) => {
    leave = (reason) => {
      isLate = true;
      reject(reason);
    };
  });
  const abort = () => leave(signal.reason);
  const timer = setTimeout(() => leave(new StallError('The folder', timeoutMs)), timeoutMs);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await Promise.race([left, work]);
  } catch (error) {
    if (isLate) work.then(undo).catch(() => {});
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}
