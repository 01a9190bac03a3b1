import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { jitter } from './backoff.ts';
import { createGate } from './gate.ts';
import { pause } from './pause.ts';
import type { Runner } from './runner.ts';
import { claimJobs, lastTurn } from './sql/claim.ts';
import { claimSuspect } from './sql/claim-suspect.ts';

const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 5000;

interface ClaimerOptions {
  readonly pool: Pool;
  readonly runner: Runner;
  readonly owner: string;
  readonly kinds: readonly string[];
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
  /** There is room for more jobs. */
  free(): void;
  /** Claims no more; jobs of a claim on its way are given back when they come. */
  stop(): Promise<void>;
}

/**
 * The claim loop. A kind is asked for while it is pending: after a wake-up, after each poll interval, and for as long
 * as claims give something. It never asks for more jobs than the runner has room for.
 */
export function createClaimer(options: ClaimerOptions): Claimer {
  const { pool, runner, owner, kinds, leaseSeconds, pollSeconds, log, onTrouble } = options;
  const pending = new Set<string>(kinds);
  // Those woken since their last claim: what is new may be of a team that has nothing yet.
  const woken = new Set<string>();
  const turns = new Map<string, string>();
  const gate = createGate();
  const stopped = new AbortController();
  const timeoutMs = (leaseSeconds * 1000) / 2;
  let suspectsPending = true;
  let running: Promise<void> = Promise.resolve();

  const roomFor = (kind: string): number => runner.room(kind, { urgent: woken.has(kind) });

  const claimKind = async (kind: string): Promise<void> => {
    const limit = roomFor(kind);
    if (limit <= 0) return;
    pending.delete(kind);
    woken.delete(kind);
    const after = turns.get(kind);
    const jobs = await claimJobs(pool, { kind, limit, owner, leaseSeconds, timeoutMs, after });
    if (jobs.length === 0) return;
    pending.add(kind);
    turns.set(kind, lastTurn(jobs));
    await runner.take(jobs);
  };

  const claimRound = async (): Promise<void> => {
    for (const kind of [...pending]) {
      if (!stopped.signal.aborted) await claimKind(kind);
    }
    if (!suspectsPending || runner.isReserved() || stopped.signal.aborted) return;
    suspectsPending = false;
    const suspect = await claimSuspect(pool, { kinds, owner, leaseSeconds, timeoutMs });
    if (suspect !== undefined) await runner.takeAlone(suspect);
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
      const canClaim = [...pending].some((kind) => roomFor(kind) > 0);
      if (!canClaim) await gate.wait(Math.max(pollAt - performance.now(), 0), stopped.signal);
    }
  };

  return {
    start: () => {
      running = keepClaiming();
    },
    wake: (kind) => {
      if (kind === undefined) pendAll();
      else if (kinds.includes(kind)) {
        pending.add(kind);
        woken.add(kind);
      }
      gate.open();
    },
    free: () => gate.open(),
    stop: () => {
      stopped.abort();
      return running;
    },
  };
}
