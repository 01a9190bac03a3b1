import { createRandom } from './random.ts';

/** What is done to an installation, and when. */
export interface Fault {
  readonly kind: 'worker' | 'api' | 'postgres';
  /** As soon as so many videos have ended, */
  readonly after: number;
  /** and so many milliseconds later. */
  readonly delayMs: number;
  /** Who of several is hit, 0 to below 1. */
  readonly pick: number;
}

export interface FaultCounts {
  readonly videos: number;
  readonly workerKills: number;
  readonly postgresRestarts: number;
  readonly apiKills: number;
}

/** Behind it there would be nothing left to be disturbed. */
const LAST_SHARE = 0.96;
const WORKER_DELAY_MS = 200;
const CALL_MS = 600;

/**
 * Scatters faults over an import, the same ones for the same seed. They go by what has ended and not by the clock, so that all
 * of them hit the import however fast it is. The first kill of the API hits the very call that starts the import.
 */
export function planFaults(counts: FaultCounts, seed: number): readonly Fault[] {
  const { videos, workerKills, postgresRestarts, apiKills } = counts;
  const random = createRandom(seed);
  const reach = videos * LAST_SHARE;
  const make = (kind: Fault['kind'], after: number, delayMs: number): Fault => ({
    kind,
    after: Math.floor(after),
    delayMs: Math.floor(delayMs),
    pick: random(),
  });
  const spread = (kind: Fault['kind'], count: number) =>
    Array.from({ length: count }, (_, n) =>
      make(kind, (reach * (n + random())) / count, WORKER_DELAY_MS * random()),
    );
  const faults = [
    ...Array.from({ length: workerKills }, () =>
      make('worker', reach * random(), WORKER_DELAY_MS * random()),
    ),
    ...spread('postgres', postgresRestarts),
    ...spread('api', apiKills - 1),
    ...(apiKills > 0 ? [make('api', 0, CALL_MS * random())] : []),
  ];
  return faults.sort((one, other) => one.after - other.after);
}
