/** Rings once however often it was rung. */
export interface Bell {
  ring(): void;
  clear(): void;
  /** Waits until it is rung, or was since it was cleared last; rejects with the signal's reason when that is aborted. */
  wait(): Promise<void>;
}

/** A bell for one who waits at a time. */
export function createBell(signal: AbortSignal): Bell {
  let rung = false;
  let wake: (() => void) | null = null;
  return {
    ring() {
      rung = true;
      wake?.();
    },
    clear() {
      rung = false;
    },
    wait: () =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        if (rung) return resolve();
        const onAbort = () => reject(signal.reason);
        signal.addEventListener('abort', onAbort, { once: true });
        wake = () => {
          signal.removeEventListener('abort', onAbort);
          wake = null;
          resolve();
        };
      }),
  };
}
