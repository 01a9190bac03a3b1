/** A signal that is aborted after some time, or when another one is. */
export interface TimeLimit {
  readonly signal: AbortSignal;
  /** Whether the time was up before the other signal was aborted. */
  isOver(): boolean;
  /** Stops the clock and lets go of the other signal. */
  end(): void;
}

/**
 * Limits work to a time. Not made of AbortSignal.any and AbortSignal.timeout, which hold each other weakly: the timeout may be
 * collected before it fires (seen on Node 20 once the caller is optimised).
 */
export function limitTime(signal: AbortSignal, ms: number): TimeLimit {
  const controller = new AbortController();
  let isOver = false;
  const timer = setTimeout(() => {
    isOver = true;
    controller.abort(new DOMException('The time is up.', 'TimeoutError'));
  }, ms);
  const onAbort = () => controller.abort(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  return {
    signal: controller.signal,
    isOver: () => isOver,
    end() {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    },
  };
}
