import type { Viewer } from '../services/viewer.ts';
import type { Authenticate } from './auth.ts';

/** How often the keys of open sockets and streams are looked at again: a revoked or expired one ends them within 5 s. */
const RECHECK_MS = 3_000;

/** Looks again and again at the keys behind what stays open; once for each key, however much is open with it. */
export interface KeyWatch {
  /**
   * Tells at each look who is behind the key by now: null when it is revoked or has expired.
   * @returns ends the watch
   */
  watch(key: string, tell: (viewer: Viewer | null) => void): () => void;
  /** Looks at all of them now: keys have changed. */
  lookNow(): void;
}

/** Whether a key may do less than it could: what was begun with it has to be begun again then. Teams are each operation's own business. */
export const hasLostScope = (before: Viewer, now: Viewer): boolean =>
  before.scopes.some((scope) => !now.scopes.includes(scope));

/** Makes a watch; it looks at nothing, and keeps no timer, while nothing is open. */
export function createKeyWatch(authenticate: Authenticate, intervalMs: number = RECHECK_MS): KeyWatch {
  const listeners = new Map<string, Set<(viewer: Viewer | null) => void>>();
  let timer: NodeJS.Timeout | undefined;

  const look = async (key: string) => {
    // A database that does not answer says nothing about the key.
    const viewer = await authenticate(key).catch(() => undefined);
    if (viewer !== undefined) for (const tell of [...(listeners.get(key) ?? [])]) tell(viewer);
  };
  let looking = false;
  let again = false;
  const lookAtAll = async () => {
    if (looking) return;
    looking = true;
    await Promise.all([...listeners.keys()].map(look));
    looking = false;
    if (again) lookNow();
  };
  const lookNow = () => {
    // A look that is under way may have begun before the change.
    again = looking;
    void lookAtAll();
  };

  return {
    watch(key, tell) {
      // Of its own, so that the same function given twice is two watches.
      const listener = (viewer: Viewer | null) => tell(viewer);
      const others = listeners.get(key) ?? new Set();
      listeners.set(key, others.add(listener));
      timer ??= setInterval(() => void lookAtAll(), intervalMs);
      return () => {
        others.delete(listener);
        if (others.size === 0 && listeners.get(key) === others) listeners.delete(key);
        if (listeners.size > 0) return;
        clearInterval(timer);
        timer = undefined;
      };
    },
    lookNow,
  };
}
