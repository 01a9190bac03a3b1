import { sql } from 'drizzle-orm';
import type { Database, Transaction } from '../../db/client.ts';
import type { ClaimToken } from '../job.ts';

/**
 * Deletes a job that is over. Fenced by the claim alone: a lease that has run out does not matter for as long as
 * nobody took the job back.
 *
 * @returns false when the claim is over
 */
export async function deleteClaimed(
  db: Database | Transaction,
  { id, claim, owner }: ClaimToken,
): Promise<boolean> {
  const result = await db.execute(
    sql`delete from jobs where id = ${id} and claim = ${claim} and owner = ${owner}`,
  );
  return result.rowCount === 1;
}
