import type { ClaimToken } from './job.ts';

interface TransientOptions {
  /** What failed, for whoever shows it; its meaning is the handler's. */
  readonly code?: string;
  /** How long the other side asks to be left alone. */
  readonly retryAfterSeconds?: number;
  readonly cause?: unknown;
}

/** What may pass by itself: network, 5xx, 429, storage. Costs a failure; retried until the budget is used up. */
export class TransientError extends Error {
  override readonly name = 'TransientError';
  readonly code: string | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(message: string, { code, retryAfterSeconds, cause }: TransientOptions = {}) {
    super(message, { cause });
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** What will not change by trying again: ends the job at once. */
export class PermanentError extends Error {
  override readonly name = 'PermanentError';

  constructor(message: string, { cause }: { readonly cause?: unknown } = {}) {
    super(message, { cause });
  }
}

/** The process that served the job died of it. Costs no failure; the third crash ends the job. */
export class CrashError extends Error {
  override readonly name = 'CrashError';

  constructor(message: string, { cause }: { readonly cause?: unknown } = {}) {
    super(message, { cause });
  }
}

interface WaitOptions {
  /** How long until the job is tried again. */
  readonly seconds: number;
  /** What it waits for; its meaning is the handler's. */
  readonly reason: string;
}

/** The job cannot go on now, through no fault of its own (a full volume): back to the queue, without a failure. */
export class WaitError extends Error {
  override readonly name = 'WaitError';
  readonly seconds: number;
  readonly reason: string;

  constructor({ seconds, reason }: WaitOptions) {
    super(`waits ${seconds} s for ${reason}`);
    this.seconds = seconds;
    this.reason = reason;
  }
}

/** This acquisition of the job is over: somebody else has it, or it is gone. Nothing may be written for it. */
export class LeaseLostError extends Error {
  override readonly name = 'LeaseLostError';
  readonly jobId: string;
  readonly claim: string;

  constructor({ id, claim }: Pick<ClaimToken, 'id' | 'claim'>) {
    super(`claim ${claim} of job ${id} is over`);
    this.jobId = id;
    this.claim = claim;
  }
}

/** Reason of the AbortSignal of a job whose worker stops. */
export class WorkerStoppedError extends Error {
  override readonly name = 'WorkerStoppedError';

  constructor() {
    super('the worker stops');
  }
}
