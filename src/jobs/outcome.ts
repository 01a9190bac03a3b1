import { randomUUID } from 'node:crypto';
import { isConnectionError } from '../db/connection-errors.ts';
import { backoffSeconds, jitter } from './backoff.ts';
import {
  CrashError,
  LeaseLostError,
  PermanentError,
  TransientError,
  WaitError,
  WorkerStoppedError,
} from './errors.ts';
import type { Failure } from './handler.ts';
import type { ClaimedJob } from './job.ts';
import { MAX_CRASHES, MAX_FREE_CLAIMS } from './limits.ts';

/** What became of a run of a job. */
export type Outcome =
  | { readonly type: 'FINISHED' }
  | { readonly type: 'RETRY'; readonly failure: Failure; readonly delaySeconds: number }
  | { readonly type: 'FAILED'; readonly failure: Failure }
  | { readonly type: 'WAITING'; readonly reason: string; readonly delaySeconds: number }
  | { readonly type: 'STOPPED' }
  | { readonly type: 'DATABASE_AWAY' }
  | { readonly type: 'LEASE_LOST' };

interface NormalizeOptions {
  readonly job: ClaimedJob;
  readonly maxFailures: number;
  readonly retryBaseSeconds: number;
  readonly signal: AbortSignal;
}

/**
 * Makes an outcome of what a run threw. Once the run was aborted, the reason of that decides: errors that come
 * after it are its consequences, whatever they look like.
 */
export function normalizeError(error: unknown, options: NormalizeOptions): Outcome {
  const { job, signal } = options;
  const aborted: unknown = signal.aborted ? signal.reason : undefined;
  if (error instanceof LeaseLostError || aborted instanceof LeaseLostError) return { type: 'LEASE_LOST' };
  if (aborted instanceof WorkerStoppedError) return { type: 'STOPPED' };
  if (error instanceof WaitError)
    return { type: 'WAITING', reason: error.reason, delaySeconds: Math.max(error.seconds, 0) };
  if (error instanceof PermanentError) return permanent(error, job);
  if (error instanceof CrashError) return crashed(error, options);
  if (isDatabaseAway(error) && job.claims < MAX_FREE_CLAIMS) return { type: 'DATABASE_AWAY' };
  return transient(error, options);
}

function permanent(error: PermanentError, { failures, crashes }: ClaimedJob): Outcome {
  return { type: 'FAILED', failure: { error, kind: 'PERMANENT', failures, crashes, final: true } };
}

function crashed(error: CrashError, { job, retryBaseSeconds }: NormalizeOptions): Outcome {
  const crashes = job.crashes + 1;
  const final = crashes >= MAX_CRASHES;
  const failure: Failure = { error, kind: 'CRASH', failures: job.failures, crashes, final };
  return final
    ? { type: 'FAILED', failure }
    : { type: 'RETRY', failure, delaySeconds: jitter(retryBaseSeconds) };
}

function transient(error: unknown, options: NormalizeOptions): Outcome {
  const { job, maxFailures, retryBaseSeconds } = options;
  const failures = job.failures + 1;
  const final = failures >= maxFailures;
  const counts = { error, failures, crashes: job.crashes, final };
  const expected = error instanceof TransientError;
  const failure = { ...counts, ...natureOf(error) };
  if (final) return { type: 'FAILED', failure };
  const delaySeconds = backoffSeconds({
    baseSeconds: retryBaseSeconds,
    earlierFailures: job.failures,
    retryAfterSeconds: expected ? error.retryAfterSeconds : undefined,
  });
  return { type: 'RETRY', failure, delaySeconds };
}

const isDatabaseAway = (error: unknown) => !(error instanceof TransientError) && isConnectionError(error);

function natureOf(error: unknown): Pick<Failure, 'kind' | 'code' | 'errorId'> {
  if (error instanceof TransientError)
    return { kind: 'TRANSIENT', ...(error.code === undefined ? {} : { code: error.code }) };
  if (isDatabaseAway(error)) return { kind: 'TRANSIENT' };
  return { kind: 'UNEXPECTED', code: 'INTERNAL', errorId: randomUUID() };
}
