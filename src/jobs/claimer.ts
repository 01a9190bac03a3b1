import type { Pool } from 'pg';
import type { Logger } from 'pino';
import type { Database } from '../db/client.ts';
import { jitter } from './backoff.ts';
import { createGate } from './gate.ts';
import type { ClaimedJob } from './job.ts';
import { pause } from './pause.ts';
import type { Runner } from './runner.ts';
import { claimJobs } from './sql/claim.ts';
import { claimSuspect } from './sql/claim-suspect.ts';
import { releaseClaimed } from './sql/release.ts';

const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 5000;

interface ClaimerOptions {
  readonly db: Database;
  readonly pool: Pool;
  readonly runner: Runner;
  readonly owner: string;
  /** How many jobs of each kind may run at once; kinds that are not in it are not claimed. */
  readonly concurrency: ReadonlyMap<string, number>;
  readonly leaseSeconds: number;
  readonly pollSeconds: number;
  readonly log: Logger;
  /** Called when the database did not answer. */
  readonly onTrouble: () => void;
}

/** Takes jobs out of the queue as long as there are places for them. */
export interface Claimer {
  start(): void;
  /** There may be jobs of the kind, or of any kind. */
  wake(kind?: string): void;
  /** A place is free. */
  free(): void;
  /** Claims no more; jobs of a claim on its way are given back when they come. */
  stop(): Promise<void>;
}

/**
 * The claim loop. A kind is asked for while it is pending: after a wake-up, after each poll interval, and for as long
 * as a claim gives all that was asked for. It never asks for more jobs than it has places for.
 */
export function createClaimer(options: ClaimerOptions): Claimer {
  const { db, pool, runner, owner, concurrency, leaseSeconds, pollSeconds, log, onTrouble } = options;
  const kinds = [...concurrency.keys()].filter((kind) => freeOf(kind) > 0);
  const pending = new Set<string>(kinds);
  const gate = createGate();
  const stopped = new AbortController();
  const timeoutMs = (leaseSeconds * 1000) / 2;
  let suspectsPending = true;
  let running: Promise<void> = Promise.resolve();

  function freeOf(kind: string): number {
    return runner.isReserved() ? 0 : (concurrency.get(kind) ?? 0) - runner.runningOf(kind);
  }

  const take = async (job: ClaimedJob, alone: boolean): Promise<void> => {
    if (!stopped.signal.aborted) return runner.launch(job, { alone });
    await releaseClaimed(db, job);
  };

  const claimKind = async (kind: string): Promise<void> => {
    const limit = freeOf(kind);
    if (limit <= 0) return;
    pending.delete(kind);
    const jobs = await claimJobs(pool, { kind, limit, owner, leaseSeconds, timeoutMs });
    if (jobs.length === limit) pending.add(kind);
    await Promise.all(jobs.map((job) => take(job, false)));
  };

  const claimRound = async (): Promise<void> => {
    for (const kind of [...pending]) {
      if (!stopped.signal.aborted) await claimKind(kind);
    }
    if (!suspectsPending || runner.isReserved() || stopped.signal.aborted) return;
    suspectsPending = false;
    const suspect = await claimSuspect(pool, { kinds, owner, leaseSeconds, timeoutMs });
    if (suspect !== undefined) await take(suspect, true);
  };

  const pendAll = (): void => {
    for (const kind of kinds) pending.add(kind);
    suspectsPending = true;
  };

  const keepClaiming = async (): Promise<void> => {
    let pauseMs = FIRST_PAUSE_MS;
    let pollAt = 0;
    while (!stopped.signal.aborted) {
      if (performance.now() >= pollAt) {
        pendAll();
        pollAt = performance.now() + jitter(pollSeconds * 1000);
      }
      try {
        await claimRound();
        pauseMs = FIRST_PAUSE_MS;
      } catch (error) {
        onTrouble();
        log.warn({ err: error }, 'jobs could not be claimed');
        await pause(jitter(pauseMs), stopped.signal);
        pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS);
        pendAll();
      }
      const canClaim = [...pending].some((kind) => freeOf(kind) > 0);
      if (!canClaim) await gate.wait(Math.max(pollAt - performance.now(), 0), stopped.signal);
    }
  };

  return {
    start: () => {
      running = keepClaiming();
    },
    wake: (kind) => {
      if (kind === undefined) pendAll();
      else if (kinds.includes(kind)) pending.add(kind);
      gate.open();
    },
    free: () => gate.open(),
    stop: () => {
      stopped.abort();
      return running;
    },
  };
}
