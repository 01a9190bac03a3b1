import { createHash } from 'node:crypto';
import ipaddr from 'ipaddr.js';
import type { Viewer } from '../services/viewer.ts';
import { type Authenticate, bearerKey } from './auth.ts';

/** How many wrong keys an address may show within a window. */
const MAX_WRONG = 20;
const WINDOW_MS = 60_000;
/** How many addresses, and how many good keys, are remembered; the oldest are forgotten first. */
const MAX_REMEMBERED = 10_000;

/** An address that has shown too many wrong keys: no further one is looked at for so long. */
export interface TooManyKeys {
  readonly retryAfterSeconds: number;
}

/** Finds who is behind a key, unless its address has shown too many that were wrong. */
export interface KeyGuard {
  /**
   * @param authorization as in the header, or in a socket's connectionParams
   * @param address of the client
   * @returns null without a good key
   */
  admit(authorization: unknown, address: string | undefined): Promise<Viewer | TooManyKeys | null>;
}

/** Whether an answer of a guard says that nobody was looked for. */
export const isTooMany = (admitted: Viewer | TooManyKeys | null): admitted is TooManyKeys =>
  admitted !== null && 'retryAfterSeconds' in admitted;

interface Tries {
  readonly since: number;
  wrong: number;
  /** How many lookups of keys that may be wrong are under way. */
  open: number;
  /** Those who wait for one of them, for it may be the last that is allowed. */
  waiting: (() => void)[];
}

/**
 * Makes a guard; each process counts for itself. A key that was good a moment ago is looked at in any case, so that whoever
 * shares an address with somebody else's script, behind a proxy for one, is not kept out by it.
 */
export function createKeyGuard(authenticate: Authenticate, now: () => number = Date.now): KeyGuard {
  const tries = new Map<string, Tries>();
  const good = new Map<string, true>();

  const triesOf = (address: string): Tries => {
    const known = tries.get(address);
    if (known && (known.open > 0 || now() - known.since < WINDOW_MS)) return known;
    const fresh = { since: now(), wrong: 0, open: 0, waiting: [] };
    tries.delete(address);
    remember(tries, address, fresh);
    return fresh;
  };
  const lookUp = async (key: string, known: string): Promise<Viewer | null> => {
    const viewer = await authenticate(key);
    good.delete(known);
    if (viewer !== null) remember(good, known, true);
    return viewer;
  };
  const tooMany = ({ since }: Tries): TooManyKeys => ({
    retryAfterSeconds: Math.max(1, Math.ceil((since + WINDOW_MS - now()) / 1000)),
  });
  const tryKey = async (key: string, at: Tries): Promise<Viewer | TooManyKeys | null> => {
    while (at.wrong < MAX_WRONG && at.wrong + at.open >= MAX_WRONG)
      await new Promise<void>((resolve) => at.waiting.push(resolve));
    if (at.wrong >= MAX_WRONG) return tooMany(at);
    at.open += 1;
    try {
      const viewer = await lookUp(key, digest(key));
      if (viewer === null) at.wrong += 1;
      return viewer;
    } finally {
      at.open -= 1;
      for (const resume of at.waiting.splice(0)) resume();
    }
  };

  return {
    async admit(authorization, address = '') {
      if (authorization === undefined || authorization === null) return null;
      const key = bearerKey(authorization);
      const known = key === null ? '' : digest(key);
      if (key !== null && good.has(known)) return await lookUp(key, known);
      const at = triesOf(networkOf(address));
      if (key !== null) return await tryKey(key, at);
      if (at.wrong >= MAX_WRONG) return tooMany(at);
      at.wrong += 1;
      return null;
    },
  };
}

function remember<Value>(all: Map<string, Value>, name: string, value: Value): void {
  all.set(name, value);
  const [oldest] = all.keys();
  if (all.size > MAX_REMEMBERED && oldest !== undefined) all.delete(oldest);
}

const digest = (key: string): string => createHash('sha256').update(key).digest('base64');

/** Whoever has an IPv6 address has 2^64 of them. */
function networkOf(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  return parsed instanceof ipaddr.IPv6 ? parsed.parts.slice(0, 4).join(':') : parsed.toString();
}
