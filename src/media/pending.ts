import { setMaxListeners } from 'node:events';

/** What the caller of a pool waits for. Only the first word on it counts. */
export interface Pending<T> {
  readonly result: Promise<T>;
  succeed(value: T): void;
  fail(error: unknown): void;
  /** Fails for a reason of the call's own, while its child may still be at it. */
  giveUp(error: unknown): void;
  isSettled(): boolean;
  /** Aborted when it is settled, however that came. */
  readonly over: AbortSignal;
}

/**
 * A promise that fails with the reason of a signal.
 * @param onGivenUp called once when it fails by the signal or by `giveUp`
 */
export function createPending<T>(signal: AbortSignal, onGivenUp: () => void): Pending<T> {
  const over = new AbortController();
  const settlers: { resolve?: (value: T) => void; reject?: (error: unknown) => void } = {};
  const result = new Promise<T>((resolve, reject) => Object.assign(settlers, { resolve, reject }));
  // The pool hands `result` to its caller; here nobody waits for it.
  result.catch(() => {});

  const onAbort = () => giveUp(signal.reason);
  // As many calls may share a signal as their caller likes: Node takes eleven for a leak, and says so.
  setMaxListeners(0, signal);
  signal.addEventListener('abort', onAbort, { once: true });

  function settle(): boolean {
    if (over.signal.aborted) return false;
    signal.removeEventListener('abort', onAbort);
    over.abort();
    return true;
  }

  function giveUp(error: unknown): void {
    if (!settle()) return;
    settlers.reject?.(error);
    onGivenUp();
  }

  return {
    result,
    succeed: (value) => {
      if (settle()) settlers.resolve?.(value);
    },
    fail: (error) => {
      if (settle()) settlers.reject?.(error);
    },
    giveUp,
    isSettled: () => over.signal.aborted,
    over: over.signal,
  };
}
