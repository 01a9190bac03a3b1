import type { Viewer } from '../services/viewer.ts';
import { type Authenticate, isUploadToken } from './auth.ts';

/** For how long who is behind a key counts as known, in milliseconds, when nobody tells of a change. */
const TRUST_MS = 1_000;
/** Nobody waits for longer than this, in milliseconds, for a lookup of somebody else's: it may never be answered. */
const PATIENCE_MS = 50;
/** How many keys are remembered; the oldest are forgotten first. */
const MAX_REMEMBERED = 10_000;

interface Lookup {
  readonly since: number;
  readonly viewer: ReturnType<Authenticate>;
  /** Undefined until there is an answer. */
  found: Viewer | null | undefined;
}

/** Who is behind the keys that requests come with, without a lookup for each. */
export interface KnownKeys {
  readonly authenticate: Authenticate;
  /** Who is behind a key, if that is known without a look; null says nothing. */
  known(key: string): Viewer | null;
  /** Takes nothing for known any more: keys have changed. */
  forget(): void;
}

/**
 * Remembers who is behind a good key for a second, so that a request costs one statement less; a key that is revoked is
 * good for nothing as soon as `forget` is called, and within the second where that call is lost. What is no key is not
 * remembered, nor is an upload token: what that may do changes with each request. Requests that come at the same time share a lookup.
 * @param now in milliseconds, of a clock that only goes forward
 */
export function createKnownKeys(
  authenticate: Authenticate,
  now: () => number = () => performance.now(),
): KnownKeys {
  let lookups = new Map<string, Lookup>();

  const keep = (key: string, lookup: Lookup) => {
    lookups.delete(key);
    lookups.set(key, lookup);
    const [oldest] = lookups.keys();
    if (lookups.size > MAX_REMEMBERED && oldest !== undefined) lookups.delete(oldest);
  };
  const start = (key: string): ReturnType<Authenticate> => {
    const lookup: Lookup = { since: now(), viewer: authenticate(key), found: undefined };
    const drop = () => {
      if (lookups.get(key) === lookup) lookups.delete(key);
    };
    const asked = lookups;
    lookup.viewer.then((viewer) => {
      lookup.found = viewer;
      if (viewer === null) drop();
      // Where lookups take long, later ones have taken its place, and none would ever be kept.
      else if (lookups === asked && lookups.get(key)?.found === undefined) keep(key, lookup);
    }, drop);
    keep(key, lookup);
    return lookup.viewer;
  };
  return {
    authenticate(key) {
      if (isUploadToken(key)) return authenticate(key);
      const known = lookups.get(key);
      if (known === undefined) return start(key);
      const isGood = now() - known.since < (known.found === undefined ? PATIENCE_MS : TRUST_MS);
      return isGood ? known.viewer : start(key);
    },
    known(key) {
      const lookup = lookups.get(key);
      return lookup !== undefined && now() - lookup.since < TRUST_MS ? (lookup.found ?? null) : null;
    },
    forget() {
      lookups = new Map();
    },
  };
}
