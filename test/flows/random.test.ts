import * as fc from 'fast-check';
import { afterAll, beforeAll, test } from 'vitest';
import { playRandomRun, type RandomRun, SUBSCRIBERS } from './random-run.ts';
import type { Visit } from './random-subscribers.ts';
import { type Change, type Site, startSite } from './random-world.ts';

/** LIVE_RUNS=100: so many runs instead of a few; LIVE_SEED=N: those of a seed, as a failure tells it. */
const RUNS = Number(process.env.LIVE_RUNS ?? 1);
const SEED = Number(process.env.LIVE_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** In every `npm test`, beside a seed that nobody has chosen. */
const FIXED_SEEDS = process.env.LIVE_SEED === undefined ? [1, 3] : [];

const ms = (max: number) => fc.nat({ max });
const change: fc.Arbitrary<Change> = fc.record({
  kind: fc.oneof(
    { weight: 5, arbitrary: fc.constant('step' as const) },
    { weight: 5, arbitrary: fc.constant('progress' as const) },
    {
      weight: 4,
      arbitrary: fc.constantFrom('retry' as const, 'insert' as const, 'delete' as const, 'reject' as const),
    },
    { weight: 1, arbitrary: fc.constant('all' as const) },
  ),
  isCanary: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
  pick: fc.nat({ max: 10_000 }),
  pauseMs: ms(40),
  // Now and then one that is open for long, across the cursors of many.
  holdMs: fc.oneof({ weight: 5, arbitrary: ms(15) }, { weight: 1, arbitrary: ms(400) }),
  isTold: fc.integer({ min: 0, max: 4 }).map((n) => n > 0),
});
const someVisits: fc.Arbitrary<readonly Visit[]> = fc.array(
  fc.record({
    events: fc.integer({ min: 1, max: 6 }),
    ms: fc.integer({ min: 1, max: 500 }),
    pauseMs: ms(80),
    server: fc.nat({ max: 1 }),
  }),
  { maxLength: 8 },
);
const randomRun: fc.Arbitrary<RandomRun> = fc.record({
  // Some snapshots are of several pages.
  tasks: fc.oneof(fc.integer({ min: 2, max: 12 }), fc.constant(130)),
  writers: fc.array(fc.array(change, { minLength: 5, maxLength: 15 }), { minLength: 4, maxLength: 4 }),
  visits: fc.array(someVisits, { minLength: SUBSCRIBERS, maxLength: SUBSCRIBERS }),
  fault: fc.constantFrom('none' as const, 'killed' as const, 'silent' as const),
  faultMs: ms(600),
});

let site: Site;

beforeAll(async () => {
  site = await startSite();
});

afterAll(() => site?.stop());

test(
  'whatever is committed when, and whoever goes and comes back: every subscriber ends with what is stored, steps never back, and sees nothing of others',
  async () => {
    // Nothing is made smaller: that would take as many runs again. The seed tells what happened.
    const property = fc.asyncProperty(randomRun, (run) => playRandomRun(site, run));
    for (const seed of FIXED_SEEDS) await fc.assert(property, { seed, numRuns: 1, endOnFailure: true });
    console.info(`LIVE_SEED=${SEED} LIVE_RUNS=${RUNS}`);
    await fc.assert(property, { seed: SEED, numRuns: RUNS, endOnFailure: true });
  },
  (RUNS + FIXED_SEEDS.length) * 120_000,
);
