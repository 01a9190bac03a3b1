import { sql } from 'drizzle-orm';
import type { Transaction } from '../../db/client.ts';
import type { ClaimToken } from '../job.ts';
import { SUSPECT_PRIORITY } from '../limits.ts';

interface FailOptions {
  readonly runAt: Date;
  /** Failures and crashes of the job, this one included. */
  readonly failures: number;
  readonly crashes: number;
}

/**
 * Puts a job that failed back into the queue, due at `runAt`, one that has crashed behind all others.
 *
 * @returns false when the claim is over
 */
export async function retryClaimed(
  tx: Transaction,
  { id, claim, owner }: ClaimToken,
  { runAt, failures, crashes }: FailOptions,
): Promise<boolean> {
  const result = await tx.execute(sql`
    update jobs set owner = null, lease_until = null, alone = false, run_at = ${runAt.toISOString()}::timestamptz,
      failures = ${failures}, crashes = ${crashes},
      priority = case when ${crashes} > 0 then greatest(priority, ${SUSPECT_PRIORITY}) else priority end
    where id = ${id} and claim = ${claim} and owner = ${owner}`);
  return result.rowCount === 1;
}
