import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { LeaseLostError, WorkerStoppedError } from './errors.ts';
import type { ClaimToken } from './job.ts';
import { pause } from './pause.ts';
import { extendLeases } from './sql/heartbeat.ts';

const BEATS_PER_LEASE = 3;
const MIN_PAUSE_MS = 20;

/** A lease that is being kept. */
export interface HeldLease {
  /** Aborted with a LeaseLostError when the claim turns out to be over, or by `abort`. */
  readonly signal: AbortSignal;
  /** Why the signal is aborted; undefined while it is not. */
  readonly reason: Error | undefined;
  abort(reason: Error): void;
  /** Whether it had not run out when the claim turned out to be over, or has not by now: no other worker can have taken the job. */
  wasKept(): boolean;
  /** Keeps the lease no longer; it runs out unless the job is finished or released. */
  end(): void;
}

/** The leases that this process keeps. */
export interface Leases {
  /** Extends the job's lease from now on, until `end`. */
  hold(job: ClaimToken): HeldLease;
  /** Whether this very claim is being kept. */
  holds(job: ClaimToken): boolean;
  start(): void;
  /** Keeps no lease any longer; work that still holds one is aborted with a WorkerStoppedError. */
  stop(): Promise<void>;
}

interface LeasesOptions {
  readonly pool: Pool;
  readonly owner: string;
  readonly leaseSeconds: number;
  readonly log: Logger;
  /** Called when the database did not answer. */
  readonly onTrouble: () => void;
}

/**
 * Keeps the leases of all jobs that this process runs, by one statement every third of a lease. When the database does
 * not answer, the jobs go on: a lease that has run out may still be finished while nobody took the job back.
 */
export function createLeases(options: LeasesOptions): Leases {
  const { pool, owner, leaseSeconds, log, onTrouble } = options;
  const held = new Map<string, Lease>();
  const stopped = new AbortController();
  const leaseMs = leaseSeconds * 1000;
  const beatMs = leaseMs / BEATS_PER_LEASE;
  let running: Promise<void> = Promise.resolve();

  const beat = async (): Promise<void> => {
    const asked = [...held.values()];
    if (asked.length === 0) return;
    const jobs = asked.map(({ job }) => job);
    const at = Date.now();
    const owned = await extendLeases(pool, { owner, held: jobs, leaseSeconds, timeoutMs: beatMs });
    for (const lease of asked) {
      if (owned.has(lease.job.claim)) lease.extend(at);
      else lease.abort(new LeaseLostError(lease.job));
    }
  };

  const keepBeating = async (): Promise<void> => {
    let waitMs = beatMs;
    while (!stopped.signal.aborted) {
      await pause(Math.max(waitMs, MIN_PAUSE_MS), stopped.signal);
      const began = performance.now();
      try {
        await beat();
        waitMs = beatMs - (performance.now() - began);
      } catch (error) {
        onTrouble();
        log.warn({ err: error, jobs: held.size }, 'leases could not be extended');
        waitMs = beatMs / BEATS_PER_LEASE;
      }
    }
  };

  return {
    hold: (job) => new Lease(job, held, leaseMs),
    holds: ({ claim }) => held.has(claim),
    start: () => {
      running = keepBeating();
    },
    stop: () => {
      stopped.abort();
      for (const lease of held.values()) lease.abort(new WorkerStoppedError());
      return running;
    },
  };
}

/** A class, for there are tens of thousands of them a second; most are over before anybody asks for the signal. */
class Lease implements HeldLease {
  readonly job: ClaimToken;
  reason: Error | undefined;
  readonly #held: Map<string, Lease>;
  readonly #leaseMs: number;
  // By the clock that goes on while a machine is asleep.
  #extendedAt = Date.now();
  #abortedAt: number | undefined;
  #controller: AbortController | undefined;

  constructor(job: ClaimToken, held: Map<string, Lease>, leaseMs: number) {
    this.job = job;
    this.#held = held;
    this.#leaseMs = leaseMs;
    held.set(job.claim, this);
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.reason !== undefined) this.#controller.abort(this.reason);
    return this.#controller.signal;
  }

  /** @param at when that was asked for */
  extend(at: number): void {
    this.#extendedAt = at;
  }

  wasKept(): boolean {
    return (this.#abortedAt ?? Date.now()) - this.#extendedAt < this.#leaseMs;
  }

  abort(reason: Error): void {
    this.reason ??= reason;
    this.#abortedAt ??= Date.now();
    this.#controller?.abort(this.reason);
  }

  end(): void {
    this.#held.delete(this.job.claim);
  }
}
