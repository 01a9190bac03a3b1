/** Sources are asked by at most this many looks at once an origin, and so many altogether. */
const PER_ORIGIN = 8;
const ALTOGETHER = 64;

/** Runs work at an origin (`SourceFile.origin`) once that, and the process, have room for it; rejects with the signal's reason when that is aborted first. */
export type OriginLimit = <T>(origin: string, signal: AbortSignal, work: () => Promise<T>) => Promise<T>;

/** Makes a limit of 8 at once, or what is given, for each origin and 64 altogether; first come, first served within what fits. */
export function createOriginLimit({
  perOrigin = PER_ORIGIN,
}: {
  readonly perOrigin?: number;
} = {}): OriginLimit {
  const running = new Map<string, number>();
  const waiting: { readonly origin: string; readonly start: () => void }[] = [];
  let total = 0;

  const fits = (origin: string) => total < ALTOGETHER && (running.get(origin) ?? 0) < perOrigin;
  const take = (origin: string) => {
    total += 1;
    running.set(origin, (running.get(origin) ?? 0) + 1);
  };
  const free = (origin: string) => {
    total -= 1;
    const left = (running.get(origin) ?? 1) - 1;
    if (left === 0) running.delete(origin);
    else running.set(origin, left);
    const next = waiting.findIndex((entry) => fits(entry.origin));
    if (next >= 0) waiting.splice(next, 1)[0]?.start();
  };
  const turn = (origin: string, signal: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      const onAbort = () => {
        const at = waiting.indexOf(entry);
        if (at >= 0) waiting.splice(at, 1);
        reject(signal.reason);
      };
      const entry = {
        origin,
        start: () => {
          signal.removeEventListener('abort', onAbort);
          take(origin);
          resolve();
        },
      };
      waiting.push(entry);
      signal.addEventListener('abort', onAbort, { once: true });
    });

  return async (origin, signal, work) => {
    signal.throwIfAborted();
    if (fits(origin)) take(origin);
    else await turn(origin, signal);
    try {
      return await work();
    } finally {
      free(origin);
    }
  };
}
