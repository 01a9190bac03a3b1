import type { Pool } from 'pg';
import type { Logger } from 'pino';
import type { Database } from '../db/client.ts';
import { uuidv7 } from '../db/ids.ts';
import { type Claimer, createClaimer } from './claimer.ts';
import type { JobHandler, JobHandlers } from './handler.ts';
import type { ClaimToken } from './job.ts';
import { createLeases, type HeldLease } from './leases.ts';
import { createSweeper, type Sweeper } from './maintenance/sweeper.ts';
import { createRunner } from './runner.ts';
import type { JobSignal } from './signal.ts';

export interface WorkerOptions {
  readonly db: Database;
  readonly pool: Pool;
  readonly signal: JobSignal;
  readonly handlers: JobHandlers;
  /** Jobs at once by kind: 1 for a kind that is not named, none with 0. */
  readonly concurrency: Readonly<Record<string, number>>;
  readonly log: Logger;
  /** This process as an owner of jobs; a UUID that no other process start has. Made here if not given. */
  readonly owner?: string;
  readonly leaseSeconds?: number;
  readonly sweepSeconds?: number;
  readonly graceSeconds?: number;
  readonly retryBaseSeconds?: number;
  readonly pollSeconds?: number;
}

/** Runs jobs in this process. */
export interface Worker {
  /** The owner in the rows of the jobs that it holds. */
  readonly id: string;
  start(): void;
  /** Claims no more, lets running jobs end for `graceSeconds`, then aborts them and gives them back. */
  stop(): Promise<void>;
  /** Gives running jobs back at once; also in the middle of a `stop`. */
  stopNow(): Promise<void>;
  /** How many jobs it is running. */
  running(): number;
  /** Keeps the lease of a job that this process runs outside the loop (see `enqueueClaimed`), until `end`. */
  adopt(job: ClaimToken): HeldLease;
}

/**
 * Puts the parts of a worker together: claims, runs, keeps leases and sweeps those of dead workers. Nothing starts
 * before `start`. No error of the database or of a handler ends it. Defaults: lease 30 s, sweep 5 s, grace 20 s,
 * first retry after 5 s, poll every 2 s.
 *
 * @throws Error when two handlers serve the same kind
 */
export function createWorker(options: WorkerOptions): Worker {
  const { db, pool, signal, owner = uuidv7(), leaseSeconds = 30, graceSeconds = 20 } = options;
  const { sweepSeconds = 5, retryBaseSeconds = 5, pollSeconds = 2 } = options;
  const handlers = byKind(options.handlers);
  const log = options.log.child({ worker: owner });
  // One after the other they need each other, so the callbacks name what is made below.
  const onTrouble = () => sweeper.holdOff();
  const leases = createLeases({ pool, owner, leaseSeconds, log, onTrouble });
  const concurrency = new Map([...handlers.keys()].map((kind) => [kind, options.concurrency[kind] ?? 1]));
  const runner = createRunner({
    db,
    pool,
    owner,
    handlers,
    concurrency,
    leases,
    leaseSeconds,
    retryBaseSeconds,
    log,
    onFree: () => claimer.free(),
    onGivenBack: (kind) => signal.wake(kind),
  });
  const kinds = [...concurrency].flatMap(([kind, places]) => (places > 0 ? [kind] : []));
  const claims = { pool, runner, owner, kinds, leaseSeconds, pollSeconds, log, onTrouble };
  const claimer: Claimer = createClaimer(claims);
  const sweeper: Sweeper = createSweeper({
    db,
    pool,
    handlers,
    isRunning: leases.holds,
    onReleased: (kind) => signal.wake(kind),
    sweepSeconds,
    recoverySeconds: leaseSeconds / 2,
    log,
  });
  const now = new AbortController();
  let offWake = () => {};
  let stopping: Promise<void> | undefined;

  const shutDown = async (): Promise<void> => {
    offWake();
    const loops = [claimer.stop(), sweeper.stop()];
    const givenBack = await runner.stop({ graceSeconds, now: now.signal });
    await Promise.all([...loops, leases.stop()]);
    for (const kind of givenBack) signal.wake(kind);
  };
  const stop = (): Promise<void> => {
    stopping ??= shutDown();
    return stopping;
  };

  return {
    id: owner,
    start: () => {
      offWake = signal.onWake((kind) => claimer.wake(kind));
      for (const part of [leases, claimer, sweeper]) part.start();
    },
    stop,
    stopNow: () => {
      now.abort();
      return stop();
    },
    running: runner.running,
    adopt: leases.hold,
  };
}

function byKind(handlers: JobHandlers): ReadonlyMap<string, JobHandler<unknown>> {
  const map = new Map(handlers.map((handler) => [handler.definition.kind, handler]));
  if (map.size !== handlers.length) throw new Error('two handlers serve the same kind of job');
  return map;
}
