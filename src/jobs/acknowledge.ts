import type { Logger } from 'pino';
import type { Database, Transaction } from '../db/client.ts';
import { isConnectionError } from '../db/connection-errors.ts';
import { transaction } from '../db/transaction.ts';
import { jitter } from './backoff.ts';
import { LeaseLostError } from './errors.ts';
import type { JobHandler } from './handler.ts';
import type { ClaimedJob } from './job.ts';
import type { HeldLease } from './leases.ts';
import type { Outcome } from './outcome.ts';
import { pause } from './pause.ts';
import { timeIn } from './sql/database-clock.ts';
import { retryClaimed } from './sql/fail.ts';
import { deleteClaimed } from './sql/finish.ts';
import { isThere } from './sql/is-there.ts';
import { releaseClaimed } from './sql/release.ts';

const FIRST_PAUSE_MS = 200;
const MAX_PAUSE_MS = 5000;
const PLAIN_RETRY_SECONDS = 60;
/** A database that answers some and refuses others, for it has no connection left, is not asked at once again. */
const AWAY_PAUSE_MS = 2000;

export interface AcknowledgeOptions {
  readonly db: Database;
  readonly handler: JobHandler<unknown>;
  readonly job: ClaimedJob;
  readonly lease: Pick<HeldLease, 'wasKept'>;
  readonly log: Logger;
  /** Aborted when there is no time left to wait for the database: the lease runs out instead. */
  readonly giveUp: AbortSignal;
}

/**
 * Stores what became of a run, with the handler's hook in the same transaction, then calls `afterCommit`. Tries again
 * for as long as the database cannot be reached: a lease that has run out may still be finished, and the fence
 * decides. Never rejects.
 */
export async function acknowledge(outcome: Outcome, options: AcknowledgeOptions): Promise<void> {
  if (await isStored(outcome, options)) await callAfterCommit(options);
}

/** Calls the handler's `afterCommit`, if it has one. Never rejects. */
export async function callAfterCommit({
  handler,
  job,
  log,
}: Pick<AcknowledgeOptions, 'handler' | 'job' | 'log'>): Promise<void> {
  try {
    await handler.afterCommit?.(job);
  } catch (error) {
    // What is left to do is found by looking for it.
    const level = isConnectionError(error) ? 'warn' : 'error';
    log[level]({ err: error }, 'what follows a job failed');
  }
}

/** Whether the outcome is in the database. */
async function isStored(outcome: Outcome, options: AcknowledgeOptions): Promise<boolean> {
  const { db, job, log, giveUp } = options;
  if (outcome.type === 'LEASE_LOST') return await leaseLost(options);
  if (outcome.type === 'FINISHED' && job.finished) return true;
  if (outcome.type === 'DATABASE_AWAY') await pause(jitter(AWAY_PAUSE_MS), giveUp);
  // A connection that broke during a commit does not tell whether the commit was done.
  let maybeStored = job.finished;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
    try {
      await transaction(db, (tx) => store(tx, outcome, options));
      return true;
    } catch (error) {
      if (error instanceof LeaseLostError) return maybeStored ? isOver(options) : await leaseLost(options);
      if (!isConnectionError(error)) return retryPlainly(error, outcome, options);
      maybeStored = true;
      log.warn({ err: error }, 'the outcome of a job could not be stored yet');
    }
    if (giveUp.aborted) return false;
    await pause(jitter(pauseMs), giveUp);
  }
}

/**
 * Tells that a claim is over; gives false: nothing is stored for it. It is no trouble where the job was removed on purpose, as of
 * a task that was canceled. Never rejects.
 */
export async function leaseLost(
  options: Pick<AcknowledgeOptions, 'db' | 'job' | 'lease' | 'log'>,
): Promise<false> {
  const { job, log } = options;
  if (await wasRemoved(options))
    log.debug(
      { claim: job.claim },
      'the job of this run was canceled or deleted, nothing was written for it',
    );
  else log.warn({ claim: job.claim }, 'LEASE_LOST: this run of a job is over, nothing was written for it');
  return false;
}

/** A job that is gone may also have been ended by a worker that took it; but nobody takes one whose lease has not run out. */
async function wasRemoved({
  db,
  job,
  lease,
}: Pick<AcknowledgeOptions, 'db' | 'job' | 'lease'>): Promise<boolean> {
  if (!lease.wasKept()) return false;
  try {
    return !(await isThere(db, job));
  } catch {
    // A database that is away does not tell.
    return false;
  }
}

/** Gives true: the outcome may have been stored, and then what follows it is still to be done. */
function isOver({ job, log }: Pick<AcknowledgeOptions, 'job' | 'log'>): true {
  log.warn(
    { claim: job.claim },
    'LEASE_OVER: the end of this run was stored by a commit whose answer got lost, or its lease was lost',
  );
  return true;
}

async function store(tx: Transaction, outcome: Outcome, options: AcknowledgeOptions): Promise<void> {
  const { handler, job } = options;
  const changed = await change(tx, outcome, { handler, job });
  if (!changed) throw new LeaseLostError(job);
}

/** The hook, then the fenced change of the row: the other way round would lock jobs before tasks. */
async function change(
  tx: Transaction,
  outcome: Outcome,
  { handler, job }: Pick<AcknowledgeOptions, 'handler' | 'job'>,
): Promise<boolean> {
  switch (outcome.type) {
    case 'FINISHED':
      return deleteClaimed(tx, job);
    case 'FAILED':
      await handler.onFailed?.(tx, job, outcome.failure);
      return deleteClaimed(tx, job);
    case 'RETRY': {
      const { failure, delaySeconds } = outcome;
      const runAt = await timeIn(tx, delaySeconds);
      await handler.onRetry?.(tx, job, failure, runAt);
      return retryClaimed(tx, job, { runAt, failures: failure.failures, crashes: failure.crashes });
    }
    case 'WAITING': {
      const until = await timeIn(tx, outcome.delaySeconds);
      await handler.onReleased?.(tx, job, 'WAITING', { reason: outcome.reason, until });
      return releaseClaimed(tx, job, until);
    }
    case 'STOPPED':
    case 'DATABASE_AWAY':
      await handler.onReleased?.(tx, job, outcome.type);
      return releaseClaimed(tx, job);
    case 'LEASE_LOST':
      return false;
  }
}

/**
 * A hook that throws is a fault of the program. The job must neither be lost nor come back at once for ever, so it
 * goes back to the queue without the hook, costs a failure and waits a minute.
 */
async function retryPlainly(error: unknown, outcome: Outcome, options: AcknowledgeOptions): Promise<false> {
  const { db, job, log } = options;
  const crashes = 'failure' in outcome ? outcome.failure.crashes : job.crashes;
  log.error({ err: error }, 'the outcome of a job could not be stored, it will be run again');
  try {
    await transaction(db, async (tx) => {
      const runAt = await timeIn(tx, jitter(PLAIN_RETRY_SECONDS));
      await retryClaimed(tx, job, { runAt, failures: job.failures + 1, crashes });
    });
  } catch (second) {
    log.error({ err: second }, 'a job could not be given back, its lease runs out');
  }
  return false;
}
