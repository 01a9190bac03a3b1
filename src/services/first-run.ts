import { LeaseLostError } from '../jobs/errors.ts';
import type { ClaimedJob } from '../jobs/job.ts';
import { releaseJob } from '../jobs/queue.ts';
import { SourceError } from '../sources/errors.ts';
import type { Services } from './deps.ts';
import { limitTime } from './time-limit.ts';

/**
 * Runs a job that this process has just stored and claimed, for as long as a call may take; the workers do the rest.
 * @param work is told when the time is up, or the claim over; whether it has come to its end is what it answers
 */
export async function firstRun(
  services: Services,
  job: ClaimedJob,
  { budgetMs, work }: { readonly budgetMs: number; readonly work: (signal: AbortSignal) => Promise<boolean> },
): Promise<void> {
  const lease = services.keepLease(job);
  const budget = limitTime(lease.signal, Math.max(0, budgetMs));
  const about = { kind: job.kind, subject: job.subjectId };
  try {
    if (await work(budget.signal)) return;
  } catch (error) {
    if (error instanceof LeaseLostError) return;
    // What the job is about is stored: what could not be done now, a worker does.
    const level = error instanceof SourceError ? 'info' : 'error';
    services.log[level]({ err: error, ...about }, 'the work goes on in a worker');
  } finally {
    budget.end();
    lease.end();
  }
  try {
    await releaseJob(services.db, job);
  } catch (error) {
    // A job that cannot be given back now comes back when its lease runs out.
    if (!(error instanceof LeaseLostError))
      services.log.error({ err: error, ...about }, 'a job was not given back');
  }
  services.jobs.wake(job.kind);
}
