import type { ZodType } from 'zod';

/** One kind of job: its name, what its payload looks like and how often it may fail. */
export interface JobDefinition<P> {
  readonly kind: string;
  /** Reads the payload when the job is enqueued and again when it runs: it must accept what it gave before. */
  readonly schema: ZodType<P>;
  /** How many transient failures end the job. */
  readonly maxFailures: number;
}

interface JobOptions<P> {
  readonly kind: string;
  readonly schema: ZodType<P>;
  readonly maxFailures?: number;
}

/** Describes a kind of job; `maxFailures` is 8 unless given. Throws a RangeError if it is not a positive integer. */
export function defineJob<P>({ kind, schema, maxFailures = 8 }: JobOptions<P>): JobDefinition<P> {
  if (!Number.isInteger(maxFailures) || maxFailures < 1) {
    throw new RangeError(`maxFailures of ${kind} must be a positive integer, not ${maxFailures}`);
  }
  return Object.freeze({ kind, schema, maxFailures });
}
