/** Lets one waiter through when it is opened; an opening that nobody waited for lets the next waiter through. */
export interface Gate {
  open(): void;
  /** Waits for an opening, for `ms` milliseconds at most (Infinity: no limit) or until the signal is aborted. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

export function createGate(): Gate {
  let opened = false;
  let pass: (() => void) | undefined;
  return {
    open() {
      opened = true;
      pass?.();
    },
    async wait(ms, signal) {
      if (!opened && !signal.aborted) {
        let timer: NodeJS.Timeout | undefined;
        const done = new Promise<void>((resolve) => {
          pass = resolve;
          if (Number.isFinite(ms)) timer = setTimeout(resolve, ms);
        });
        const onAbort = () => pass?.();
        signal.addEventListener('abort', onAbort);
        await done;
        signal.removeEventListener('abort', onAbort);
        clearTimeout(timer);
        pass = undefined;
      }
      opened = false;
    },
  };
}
