/** Jobs that take longer, in milliseconds, are never claimed ahead: a claim costs little beside them. */
const LONGEST_MS = 10;
/** For how many milliseconds of work is claimed ahead: longer than a claim takes, shorter than anybody notices. */
const AHEAD_MS = 20;
const MOST_AHEAD = 1000;
/** What is taken for a run while little is known, in milliseconds. */
const UNKNOWN_MS = 100;
const FADING = 0.8;

/** How fast the jobs of a kind go, as far as this worker has seen. */
export interface Pace {
  /** A run has taken so many milliseconds, or takes longer than that already. */
  note(ms: number): void;
  /** How many jobs are claimed beside those that run, when so many may run at once. */
  ahead(places: number): number;
}

/**
 * Judges by the slowest of the latest runs, which fades: a dozen fast runs come before jobs are claimed ahead,
 * and one slow run ends it.
 */
export function createPace(): Pace {
  let slowestMs = UNKNOWN_MS;
  return {
    note(ms) {
      slowestMs = Math.max(ms, slowestMs * FADING);
    },
    ahead(places) {
      if (slowestMs > LONGEST_MS) return 0;
      return Math.min(Math.floor((places * AHEAD_MS) / slowestMs), MOST_AHEAD);
    },
  };
}
