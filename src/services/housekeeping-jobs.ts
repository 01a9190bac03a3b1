import type { Database, Transaction } from '../db/client.ts';
import { transaction } from '../db/transaction.ts';
import { removeExpired, sweepStorage } from '../jobs/definitions.ts';
import type { ClaimedJob } from '../jobs/job.ts';
import { enqueue, finishJob } from '../jobs/queue.ts';
import type { Services } from './deps.ts';

/** Work that comes round: one job for all servers, whatever their number, because its subject is always the same. */
interface RecurringJob {
  readonly definition: typeof sweepStorage | typeof removeExpired;
  readonly subjectId: string;
  /** How long after one has ended the next one begins, give or take a fifth. */
  readonly everySeconds: number;
}

/** Jobs are of a team; these are of none. */
const NOBODY = '00000000-0000-7000-8000-000000000000';

export const SWEEP_STORAGE: RecurringJob = {
  definition: sweepStorage,
  subjectId: '00000000-0000-7000-8000-000000000001',
  everySeconds: 6 * 3600,
};

export const REMOVE_EXPIRED: RecurringJob = {
  definition: removeExpired,
  subjectId: '00000000-0000-7000-8000-000000000002',
  everySeconds: 6 * 3600,
};

/** Sees to it that there is a run to come of each: those of a new database, and of one whose job has failed for good. */
export async function planRecurringJobs(db: Database): Promise<void> {
  for (const recurring of [SWEEP_STORAGE, REMOVE_EXPIRED]) await plan(db, recurring);
}

/**
 * Ends a run, and plans the next.
 * @throws {LeaseLostError} when another process has taken the job
 */
export async function finishRecurringJob(
  { db }: Pick<Services, 'db'>,
  recurring: RecurringJob,
  job: ClaimedJob,
): Promise<void> {
  await transaction(db, async (tx) => {
    await finishJob(tx, job);
    await plan(tx, recurring);
  });
}

async function plan(
  db: Database | Transaction,
  { definition, subjectId, everySeconds }: RecurringJob,
): Promise<void> {
  const seconds = everySeconds * (0.8 + 0.4 * Math.random());
  const runAt = new Date(Date.now() + seconds * 1000);
  await enqueue(db, definition, { subjectId, teamId: NOBODY, payload: {}, runAt });
}
