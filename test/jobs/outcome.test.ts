import { describe, expect, it } from 'vitest';
import {
  CrashError,
  LeaseLostError,
  PermanentError,
  TransientError,
  WaitError,
  WorkerStoppedError,
} from '../../src/jobs/errors.ts';
import type { ClaimedJob } from '../../src/jobs/job.ts';
import { normalizeError } from '../../src/jobs/outcome.ts';

const job: ClaimedJob = {
  id: '00000000-0000-7000-8000-000000000001',
  kind: 'test',
  subjectId: '00000000-0000-7000-8000-000000000002',
  teamId: '00000000-0000-7000-8000-000000000003',
  payload: {},
  priority: 0,
  claim: '7',
  claims: 1,
  failures: 0,
  crashes: 0,
  lostLeases: 0,
  owner: '00000000-0000-7000-8000-000000000004',
  finished: false,
};

function normalize(error: unknown, overrides: Partial<ClaimedJob> = {}, aborted?: Error) {
  const signal = aborted === undefined ? new AbortController().signal : AbortSignal.abort(aborted);
  return normalizeError(error, {
    job: { ...job, ...overrides },
    maxFailures: 8,
    retryBaseSeconds: 5,
    signal,
  });
}

describe('normalizeError', () => {
  it('counts a transient error as a failure and keeps its code', () => {
    const error = new TransientError('503', { code: 'SOURCE_UNAVAILABLE' });
    expect(normalize(error, { failures: 2, crashes: 1 })).toEqual({
      type: 'RETRY',
      failure: {
        error,
        kind: 'TRANSIENT',
        code: 'SOURCE_UNAVAILABLE',
        failures: 3,
        crashes: 1,
        final: false,
      },
      delaySeconds: expect.closeTo(20, -1),
    });
  });

  it('ends the job with the eighth transient failure', () => {
    const outcome = normalize(new TransientError('reset'), { failures: 7 });
    expect(outcome).toMatchObject({
      type: 'FAILED',
      failure: { kind: 'TRANSIENT', failures: 8, final: true },
    });
  });

  it('ends the job with a permanent error, whatever the budget', () => {
    const outcome = normalize(new PermanentError('404'));
    expect(outcome).toMatchObject({
      type: 'FAILED',
      failure: { kind: 'PERMANENT', failures: 0, final: true },
    });
  });

  it('counts a crash apart from failures and ends the job with the third', () => {
    const crash = new CrashError('SIGSEGV');
    expect(normalize(crash, { failures: 7, crashes: 1 })).toMatchObject({
      type: 'RETRY',
      failure: { kind: 'CRASH', failures: 7, crashes: 2, final: false },
    });
    expect(normalize(crash, { crashes: 2 })).toMatchObject({
      type: 'FAILED',
      failure: { kind: 'CRASH', failures: 0, crashes: 3, final: true },
    });
  });

  it('lets a job wait without a failure', () => {
    const outcome = normalize(new WaitError({ seconds: 30, reason: 'STORAGE' }));
    expect(outcome).toEqual({ type: 'WAITING', reason: 'STORAGE', delaySeconds: 30 });
  });

  it('takes a database that went away for no failure, but not for ever', () => {
    const error = Object.assign(new Error('terminating connection due to administrator command'), {
      code: '57P01',
    });
    expect(normalize(error, { failures: 7, claims: 19 })).toEqual({ type: 'DATABASE_AWAY' });
    expect(normalize(error, { claims: 20 })).toMatchObject({
      type: 'RETRY',
      failure: { kind: 'TRANSIENT', failures: 1 },
    });
    expect(normalize(new TransientError('the source', { cause: error }))).toMatchObject({ type: 'RETRY' });
  });

  it('counts anything else as a failure with an id for the log', () => {
    for (const error of [new TypeError('x is undefined'), 'a string', undefined]) {
      expect(normalize(error)).toMatchObject({
        type: 'RETRY',
        failure: { error, kind: 'UNEXPECTED', code: 'INTERNAL', errorId: expect.any(String), failures: 1 },
      });
    }
  });

  it('takes every error after an abort for its consequence', () => {
    const consequence = new PermanentError('the file ends too early');
    expect(normalize(consequence, {}, new WorkerStoppedError())).toEqual({ type: 'STOPPED' });
    expect(normalize(consequence, {}, new LeaseLostError(job))).toEqual({ type: 'LEASE_LOST' });
    expect(normalize(new LeaseLostError(job), {}, new WorkerStoppedError())).toEqual({ type: 'LEASE_LOST' });
  });
});
