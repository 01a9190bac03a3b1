import type { Logger } from 'pino';
import type { Database } from '../db/client.ts';
import { acknowledge } from './acknowledge.ts';
import { LeaseLostError, WorkerStoppedError } from './errors.ts';
import { executeJob } from './executor.ts';
import { createGate } from './gate.ts';
import type { JobHandler } from './handler.ts';
import type { ClaimedJob } from './job.ts';
import type { HeldLease, Leases } from './leases.ts';
import { markAlone } from './sql/alone.ts';

/** How long jobs have to end after their signal, and the database to store that, before the worker goes. */
const ABORT_MS = 2000;

interface RunnerOptions {
  readonly db: Database;
  readonly handlers: ReadonlyMap<string, JobHandler<unknown>>;
  readonly leases: Leases;
  readonly retryBaseSeconds: number;
  readonly log: Logger;
  /** Called when a job has ended and its place is free. */
  readonly onFree: () => void;
}

interface StopOptions {
  readonly graceSeconds: number;
  /** Aborted when the rest of the grace is called off. */
  readonly now: AbortSignal;
}

/** The jobs that this worker is running. */
export interface Runner {
  /** Runs a claimed job; `alone`: after all others have ended, and with no other beside it. */
  launch(job: ClaimedJob, options?: { readonly alone: boolean }): void;
  running(): number;
  runningOf(kind: string): number;
  /** A job has the worker for itself, or waits to: nothing else may start. */
  isReserved(): boolean;
  /** Lets jobs end for a while, then aborts them and gives back what is left; gives the kinds given back. */
  stop(options: StopOptions): Promise<ReadonlySet<string>>;
}

interface Running {
  readonly job: ClaimedJob;
  readonly handler: JobHandler<unknown>;
  readonly lease: HeldLease;
  readonly alone: boolean;
  readonly log: Logger;
}

/** Runs jobs side by side, each under a lease that is kept until the job is acknowledged. */
export function createRunner(options: RunnerOptions): Runner {
  const { db, handlers, leases, retryBaseSeconds, onFree } = options;
  const all = new Map<string, Running>();
  const giveUp = new AbortController();
  const ended = createGate();
  const idle = createGate();

  const waitUntilAlone = async ({ job, lease: { signal } }: Running): Promise<void> => {
    while (all.size > 1 && !signal.aborted) await ended.wait(Number.POSITIVE_INFINITY, signal);
    signal.throwIfAborted();
    if (!(await markAlone(db, job))) throw new LeaseLostError(job);
  };

  const execute = async (run: Running): Promise<void> => {
    const { job, handler, lease, alone, log } = run;
    const { signal } = lease;
    const ready = alone ? () => waitUntilAlone(run) : undefined;
    try {
      await executeJob({ db, handler, job, log, signal, giveUp: giveUp.signal, retryBaseSeconds, ready });
    } finally {
      lease.end();
      all.delete(job.claim);
      ended.open();
      if (all.size === 0) idle.open();
      onFree();
    }
  };

  const waitUntilIdle = async (ms: number, signal: AbortSignal): Promise<void> => {
    const until = performance.now() + ms;
    while (all.size > 0 && !signal.aborted && performance.now() < until)
      await idle.wait(until - performance.now(), signal);
  };

  const giveBack = async ({ job, handler, log }: Running): Promise<void> => {
    log.warn('a job did not end when it was aborted: it is given back while it still runs');
    await acknowledge({ type: 'STOPPED' }, { db, handler, job, log, giveUp: giveUp.signal });
  };

  return {
    launch(job, { alone } = { alone: false }) {
      const handler = handlers.get(job.kind);
      if (handler === undefined) throw new Error(`no handler for jobs of kind ${job.kind}`);
      const log = options.log.child({ job: job.id, kind: job.kind, subject: job.subjectId });
      const run: Running = { job, handler, lease: leases.hold(job), alone, log };
      all.set(job.claim, run);
      void execute(run);
    },
    running: () => all.size,
    runningOf: (kind) => [...all.values()].filter((run) => run.job.kind === kind).length,
    isReserved: () => [...all.values()].some((run) => run.alone),
    async stop({ graceSeconds, now }) {
      const never = new AbortController().signal;
      await waitUntilIdle(graceSeconds * 1000, now);
      const aborted = [...all.values()];
      for (const { lease } of aborted) lease.abort(new WorkerStoppedError());
      await waitUntilIdle(ABORT_MS, never);
      const timer = setTimeout(() => giveUp.abort(), ABORT_MS);
      await Promise.all([...all.values()].map(giveBack));
      clearTimeout(timer);
      giveUp.abort();
      return new Set(aborted.map(({ job }) => job.kind));
    },
  };
}
