import type { Authenticate } from './auth.ts';

/** For how long who is behind a key counts as known, in milliseconds, when nobody tells of a change. */
const TRUST_MS = 1_000;
/** Nobody waits for longer than this, in milliseconds, for a lookup of somebody else's: it may never be answered. */
const PATIENCE_MS = 50;
/** How many keys are remembered; the oldest are forgotten first. */
const MAX_REMEMBERED = 10_000;

interface Lookup {
  readonly since: number;
  readonly viewer: ReturnType<Authenticate>;
  isAnswered: boolean;
}

/** Who is behind the keys that requests come with, without a lookup for each. */
export interface KnownKeys {
  readonly authenticate: Authenticate;
  /** Takes nothing for known any more: keys have changed. */
  forget(): void;
}

/**
 * Remembers who is behind a good key for a second, so that a request costs one statement less; a key that is revoked is
 * good for nothing as soon as `forget` is called, and within the second where that call is lost. What is no key is not
 * remembered. Requests that come at the same time share a lookup.
 * @param now in milliseconds, of a clock that only goes forward
 */
export function createKnownKeys(
  authenticate: Authenticate,
  now: () => number = () => performance.now(),
): KnownKeys {
  const lookups = new Map<string, Lookup>();

  const start = (key: string): ReturnType<Authenticate> => {
    const lookup: Lookup = { since: now(), viewer: authenticate(key), isAnswered: false };
    const drop = () => {
      if (lookups.get(key) === lookup) lookups.delete(key);
    };
    lookup.viewer.then((viewer) => {
      lookup.isAnswered = true;
      if (viewer === null) drop();
    }, drop);
    lookups.delete(key);
    lookups.set(key, lookup);
    const [oldest] = lookups.keys();
    if (lookups.size > MAX_REMEMBERED && oldest !== undefined) lookups.delete(oldest);
    return lookup.viewer;
  };
  return {
    authenticate(key) {
      const known = lookups.get(key);
      if (known === undefined) return start(key);
      const isGood = now() - known.since < (known.isAnswered ? TRUST_MS : PATIENCE_MS);
      return isGood ? known.viewer : start(key);
    },
    forget: () => lookups.clear(),
  };
}
