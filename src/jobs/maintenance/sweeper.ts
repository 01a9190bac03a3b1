import type { Pool } from 'pg';
import type { Logger } from 'pino';
import type { Database, Transaction } from '../../db/client.ts';
import { isConnectionError } from '../../db/connection-errors.ts';
import { transaction } from '../../db/transaction.ts';
import { LeaseLostError } from '../errors.ts';
import type { Failure, JobHandler } from '../handler.ts';
import { MAX_CRASHES } from '../limits.ts';
import { pause } from '../pause.ts';
import {
  deleteExpired,
  type ExpiredJob,
  putBackExpired,
  readExpired,
  reserveForSweep,
} from '../sql/sweep.ts';

const PAGE = 100;
const TIMEOUT_MS = 10_000;

export interface SweepOptions {
  readonly db: Database;
  readonly pool: Pool;
  /** By kind; jobs of other kinds are left to workers that know what their release means. */
  readonly handlers: ReadonlyMap<string, JobHandler<unknown>>;
  /** Jobs that this process is running: they are extended, not swept, though it may have been too slow. */
  readonly isRunning: (job: ExpiredJob['job']) => boolean;
  /** Called with the kind of every job that went back to the queue. */
  readonly onReleased: (kind: string) => void;
  readonly log: Logger;
}

interface SweeperOptions extends SweepOptions {
  readonly sweepSeconds: number;
  /** How long nothing is swept after the database was away: its clock went on, and live workers come first. */
  readonly recoverySeconds: number;
}

/** Puts the jobs of workers that stopped answering back into the queue. */
export interface Sweeper {
  start(): void;
  stop(): Promise<void>;
  /** The database did not answer: leases may have run out though their workers live. */
  holdOff(): void;
}

/** Sweeps every `sweepSeconds`, less up to a quarter of it so that workers do not sweep in step. */
export function createSweeper(options: SweeperOptions): Sweeper {
  const { sweepSeconds, recoverySeconds, log } = options;
  const stopped = new AbortController();
  let notBefore = 0;
  let running: Promise<void> = Promise.resolve();
  const holdOff = () => {
    notBefore = performance.now() + recoverySeconds * 1000;
  };
  const keepSweeping = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      await pause(sweepSeconds * 1000 * (0.75 + 0.25 * Math.random()), stopped.signal);
      if (stopped.signal.aborted || performance.now() < notBefore) continue;
      try {
        await sweep(options, stopped.signal);
      } catch (error) {
        holdOff();
        log.warn({ err: error }, 'expired leases could not be swept');
      }
    }
  };
  return {
    start: () => {
      running = keepSweeping();
    },
    stop: () => {
      stopped.abort();
      return running;
    },
    holdOff,
  };
}

/**
 * One pass over all expired leases. Each job in a transaction of its own: one that cannot be put back keeps no other
 * from it, and no transaction locks several tasks in an order of its own.
 *
 * @returns how many jobs were put back or ended
 */
export async function sweep(options: SweepOptions, signal: AbortSignal): Promise<number> {
  const kinds = [...options.handlers.keys()];
  let swept = 0;
  let after: ExpiredJob | undefined;
  while (!signal.aborted) {
    const page = await readExpired(options.pool, { kinds, after, limit: PAGE, timeoutMs: TIMEOUT_MS });
    for (const expired of page) {
      if (signal.aborted) return swept;
      if (!options.isRunning(expired.job) && (await sweepOne(expired, options))) swept += 1;
    }
    after = page.at(-1);
    if (page.length < PAGE) break;
  }
  return swept;
}

async function sweepOne(expired: ExpiredJob, options: SweepOptions): Promise<boolean> {
  const { db, handlers, onReleased, log } = options;
  const { job } = expired;
  const handler = handlers.get(job.kind);
  if (handler === undefined) return false;
  const fields = { job: job.id, kind: job.kind, subject: job.subjectId, claim: job.claim };
  try {
    const done = await transaction(db, (tx) => giveBack(tx, expired, handler));
    if (!done) return false;
  } catch (error) {
    if (error instanceof LeaseLostError) return false;
    if (isConnectionError(error)) throw error;
    log.error({ err: error, ...fields }, 'the hook of a released job failed, it is released without it');
    if (!(await transaction(db, (tx) => putBackExpired(tx, job)))) return false;
  }
  log.warn({ ...fields, lostLeases: job.lostLeases + 1, alone: expired.alone }, 'a lost lease was swept');
  onReleased(job.kind);
  await callAfterCommit(handler, expired, log);
  return true;
}

async function giveBack(
  tx: Transaction,
  { job, alone }: ExpiredJob,
  handler: JobHandler<unknown>,
): Promise<boolean> {
  if (!(await reserveForSweep(tx, job))) return false;
  const crashes = job.crashes + (alone ? 1 : 0);
  if (alone && crashes >= MAX_CRASHES) {
    const error = new LeaseLostError(job);
    const failure: Failure = { error, kind: 'CRASH', failures: job.failures, crashes, final: true };
    await handler.onFailed?.(tx, job, failure);
    if (!(await deleteExpired(tx, job))) throw new LeaseLostError(job);
  } else {
    await handler.onReleased?.(tx, job, 'LEASE_LOST');
    if (!(await putBackExpired(tx, job))) throw new LeaseLostError(job);
  }
  return true;
}

async function callAfterCommit(
  handler: JobHandler<unknown>,
  { job }: ExpiredJob,
  log: Logger,
): Promise<void> {
  try {
    await handler.afterCommit?.(job);
  } catch (error) {
    const level = isConnectionError(error) ? 'warn' : 'error';
    log[level]({ err: error, job: job.id }, 'what follows a job failed');
  }
}
