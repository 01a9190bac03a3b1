import type { Logger } from 'pino';
import { PermanentError } from './errors.ts';
import type { JobHandler } from './handler.ts';
import type { ClaimedJob, Job } from './job.ts';
import { normalizeError, type Outcome } from './outcome.ts';
import type { Run } from './run.ts';

interface RunJobOptions {
  readonly retryBaseSeconds: number;
  /** Waited for before the run; it may reject, as the run may. */
  readonly ready?: () => Promise<void>;
}

const FINISHED: Outcome = { type: 'FINISHED' };

/** Runs one claimed job: parse the payload, run, make an outcome of what came of it. Never rejects. */
export async function runJob(
  { handler, job, lease, given }: Run,
  { retryBaseSeconds, ready }: RunJobOptions,
): Promise<Outcome> {
  try {
    if (ready !== undefined) await ready();
    if (lease.reason !== undefined) throw lease.reason;
    await handler.run(parsePayload(handler, job), given);
    return FINISHED;
  } catch (error) {
    const { maxFailures } = handler.definition;
    return normalizeError(error, { job, maxFailures, retryBaseSeconds, signal: lease.signal });
  }
}

/** The same object with its payload parsed, so that `finishJob` marks the one that is acknowledged. */
function parsePayload<P>({ definition }: JobHandler<P>, job: ClaimedJob): Job<P> {
  const parsed = definition.schema.safeParse(job.payload);
  if (!parsed.success)
    throw new PermanentError(`a job of kind ${job.kind} has an unreadable payload`, { cause: parsed.error });
  return Object.assign(job, { payload: parsed.data });
}

/** Writes to the log what became of a run. */
export function logOutcome(outcome: Outcome, log: Logger): void {
  if (outcome.type === 'RETRY' || outcome.type === 'FAILED') {
    const { error, kind, errorId, failures, crashes, final } = outcome.failure;
    const fields = { err: error, failure: kind, errorId, failures, crashes, final };
    if (kind === 'UNEXPECTED') log.error(fields, 'a job failed unexpectedly');
    else log.info(fields, final ? 'a job failed for good' : 'a job failed and will be tried again');
  } else {
    log.debug({ outcome: outcome.type }, 'a run of a job has ended');
  }
}
