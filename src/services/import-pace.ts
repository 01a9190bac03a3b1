import { MAX_ETA_SECONDS } from '../events/progress.ts';

/** How far imports have come before, for when bytes do not tell when they end. */
export interface ImportPace {
  /**
   * Notes how far an import is, and tells when it ends if it goes on like this.
   * @param fraction 0 to 1
   * @param now milliseconds, of a clock that never goes back
   * @returns whole seconds; null until it has been seen to move
   */
  etaSeconds(importId: string, fraction: number, now: number): number | null;
}

interface Seen {
  readonly at: number;
  readonly fraction: number;
  /** Fractions a second. */
  readonly pace: number | null;
}

/** Two looks tell a pace when they are so far apart. */
const APART_MS = 900;
/** The weight of the past halves in this many seconds. */
const HALF_LIFE_SECONDS = 10;
/** Nobody has asked for so long: it begins anew. */
const FORGOTTEN_MS = 60_000;

/** Makes a memory that knows of no import. */
export function createImportPace(): ImportPace {
  const seen = new Map<string, Seen>();
  return {
    etaSeconds(importId, fraction, now) {
      for (const [id, { at }] of seen) if (now - at > FORGOTTEN_MS) seen.delete(id);
      const latest = follow(seen.get(importId), fraction, now);
      seen.set(importId, latest);
      if (latest.pace === null || latest.pace <= 0) return null;
      const seconds = Math.ceil((1 - fraction) / latest.pace);
      return seconds <= MAX_ETA_SECONDS ? seconds : null;
    },
  };
}

function follow(before: Seen | undefined, fraction: number, now: number): Seen {
  // What goes back was opened again.
  if (before === undefined || fraction < before.fraction - 1e-9) return { at: now, fraction, pace: null };
  const seconds = (now - before.at) / 1000;
  if (seconds * 1000 < APART_MS) return before;
  const pace = (fraction - before.fraction) / seconds;
  const weight = before.pace === null ? 0 : 0.5 ** (seconds / HALF_LIFE_SECONDS);
  return { at: now, fraction, pace: (before.pace ?? 0) * weight + pace * (1 - weight) };
}
