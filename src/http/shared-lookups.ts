import type { Authenticate } from './auth.ts';

/** Nobody waits for longer than this, in milliseconds, for a lookup of somebody else's: it may never be answered. */
const PATIENCE_MS = 50;

interface Lookup {
  readonly since: number;
  readonly ended: Promise<void>;
  next: ReturnType<Authenticate> | null;
}

/**
 * Lets requests that come at the same time with the same key share a lookup. Each has one that began after the request came,
 * so that a key that was revoked by then is good for nothing: those that come while one is under way share the next.
 */
export function shareLookups(authenticate: Authenticate): Authenticate {
  const running = new Map<string, Lookup>();
  const start = (key: string): ReturnType<Authenticate> => {
    const viewer = authenticate(key);
    const ended = viewer.then(
      () => {},
      () => {},
    );
    const lookup: Lookup = { since: performance.now(), ended, next: null };
    running.set(key, lookup);
    void ended.then(() => {
      if (running.get(key) === lookup) running.delete(key);
    });
    return viewer;
  };
  return (key) => {
    const current = running.get(key);
    if (current === undefined || performance.now() - current.since > PATIENCE_MS) return start(key);
    current.next ??= current.ended.then(() => start(key));
    return current.next;
  };
}
