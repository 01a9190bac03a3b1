import { sql } from 'drizzle-orm';
import type { Database, Transaction } from '../../db/client.ts';
import type { ClaimToken } from '../job.ts';

/**
 * Gives a job back to the queue without a failure, due at `runAt` or at once. The due time is cut to milliseconds:
 * rounded up, the job would be missed by the wake-up that follows.
 *
 * @returns false when the claim is over
 */
export async function releaseClaimed(
  db: Database | Transaction,
  { id, claim, owner }: ClaimToken,
  runAt?: Date,
): Promise<boolean> {
  const due =
    runAt === undefined ? sql`date_trunc('milliseconds', now())` : sql`${runAt.toISOString()}::timestamptz`;
  const result = await db.execute(sql`
    update jobs set owner = null, lease_until = null, alone = false, run_at = ${due}
    where id = ${id} and claim = ${claim} and owner = ${owner}`);
  return result.rowCount === 1;
}
