import { createPace } from './pace.ts';
import type { Run } from './run.ts';
import { createTurns } from './turns.ts';

/** More ends than this that are not stored yet, and nothing more is claimed: the database is slow or away. */
const MOST_UNSTORED = 2000;
/** How often in a row jobs must be found that wait for slow ones before they are given back. */
const STRIKES = 2;

/** The places for jobs of one kind, and the jobs that were claimed ahead and wait for one, teams in turn. */
export interface Lane {
  readonly running: number;
  readonly waiting: number;
  add(run: Run): void;
  /** The next run, for which there is a place from now on; undefined when there is none, or nothing waits. */
  begin(): Run | undefined;
  /** A run is over, after so many milliseconds; its place is free. */
  end(ms: number): void;
  /** How many ends are on their way to the database: changed by those who store them. */
  unstored: number;
  /** How many jobs there is room for; `urgent`: also when enough are waiting, for they may be of another team. */
  room(options: { readonly urgent: boolean }): number;
  /** Called from time to time: takes out the jobs that wait though they would be started sooner elsewhere. */
  takeStuck(): Run[];
  /** Takes out all that wait. */
  takeWaiting(): Run[];
}

/** A lane with so many places. */
export function createLane(places: number): Lane {
  const waiting = createTurns<Run>();
  const pace = createPace();
  let running = 0;
  let lastBegin = 0;
  let strikes = 0;
  return {
    unstored: 0,
    get running() {
      return running;
    },
    get waiting() {
      return waiting.size;
    },
    add: waiting.add,
    begin() {
      if (running >= places) return undefined;
      const run = waiting.next();
      if (run === undefined) return undefined;
      running += 1;
      lastBegin = performance.now();
      return run;
    },
    end(ms) {
      running -= 1;
      pace.note(ms);
    },
    room({ urgent }) {
      const ahead = pace.ahead(places);
      if (this.unstored >= MOST_UNSTORED || (!urgent && waiting.size > ahead / 2)) return 0;
      return Math.max(places - running + ahead - waiting.size, 0);
    },
    takeStuck() {
      if (waiting.size === 0) strikes = 0;
      else {
        pace.note(performance.now() - lastBegin);
        strikes = pace.ahead(places) === 0 ? strikes + 1 : 0;
      }
      return strikes >= STRIKES ? waiting.clear() : [];
    },
    takeWaiting: waiting.clear,
  };
}
