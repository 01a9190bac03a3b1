/** A resume that brought this much, in bytes, was worth it: those before it are forgotten. */
const WORTH_IT_BYTES = 8 * 1024 * 1024;
const MAX_IN_A_ROW = 5;
const FIRST_DELAY_MS = 50;

/** Decides whether a download that was cut goes on at once or is left to a later attempt. */
export interface ResumeBudget {
  /** Whether to go on after a cut at this byte: only if it is farther than ever, and not too often in a row. */
  spend(bytes: number): boolean;
  /** How long to wait before the request that was just granted, in milliseconds. */
  delayMs(): number;
  /** The file is another one: what was reached before does not count. */
  forget(): void;
}

/** Makes the budget of a download that starts at this byte. */
export function createResumeBudget(startBytes: number): ResumeBudget {
  let farthest = startBytes;
  let inARow = 0;
  return {
    spend(bytes) {
      const gained = bytes - farthest;
      if (gained <= 0) return false;
      farthest = bytes;
      inARow = gained >= WORTH_IT_BYTES ? 1 : inARow + 1;
      return inARow <= MAX_IN_A_ROW;
    },
    delayMs: () => FIRST_DELAY_MS * 2 ** (inARow - 1),
    forget() {
      farthest = 0;
    },
  };
}
