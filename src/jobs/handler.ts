import type { Logger } from 'pino';
import type { Transaction } from '../db/client.ts';
import type { JobDefinition } from './define.ts';
import type { ClaimedJob, Job } from './job.ts';

type FailureKind = 'TRANSIENT' | 'PERMANENT' | 'CRASH' | 'UNEXPECTED';

/** Why a run of a job did not succeed. */
export interface Failure {
  readonly error: unknown;
  readonly kind: FailureKind;
  /** A TransientError's code; INTERNAL for an unexpected error. */
  readonly code?: string;
  /** Id under which an unexpected error is in the log. */
  readonly errorId?: string;
  /** Transient failures of the job, this one included. */
  readonly failures: number;
  /** Crashes of the job, this one included. */
  readonly crashes: number;
  /** The job ends with it. */
  readonly final: boolean;
}

/** Why a job went back to the queue without a failure. */
export type ReleaseReason = 'STOPPED' | 'DATABASE_AWAY' | 'LEASE_LOST' | 'WAITING';

/** What a waiting job waits for, and until when at most. */
export interface Wait {
  readonly reason: string;
  readonly until: Date;
}

interface RunOptions {
  /** Aborted when the lease is lost (LeaseLostError) or the worker stops (WorkerStoppedError). */
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/**
 * What is done with the jobs of one kind. The hooks run in the transaction that changes the row of the job, before
 * that change, and are rolled back with it if the claim is over. So a hook locks what comes before jobs in the order
 * of locks: import, tasks by id, jobs by id, videos. They may be called again when a transaction is repeated.
 */
export interface JobHandler<P> {
  readonly definition: JobDefinition<P>;
  /**
   * Does the work; may run more than once for one job. It may end the job by `finishJob` in its own last
   * transaction; otherwise the job is finished when it returns.
   */
  run(job: Job<P>, options: RunOptions): Promise<void>;
  /** It failed and will be tried again at `nextRunAt` (by the database's clock). */
  onRetry?(tx: Transaction, job: ClaimedJob, failure: Failure, nextRunAt: Date): Promise<void>;
  /** It failed for good; its row is deleted by the same transaction. */
  onFailed?(tx: Transaction, job: ClaimedJob, failure: Failure): Promise<void>;
  /** It goes back to the queue without a failure; `wait` is there when `why` is WAITING. */
  onReleased?(tx: Transaction, job: ClaimedJob, why: ReleaseReason, wait?: Wait): Promise<void>;
  /** After the commit of whatever became of a run. A hint: it is not called when the process dies before. */
  afterCommit?(job: ClaimedJob): void | Promise<void>;
}

/** Handlers of different payloads together: each parses its own payload by its own definition before it runs. */
export type JobHandlers = readonly JobHandler<unknown>[];
