import { sql } from 'drizzle-orm';
import type { Transaction } from '../../db/client.ts';
import type { ClaimToken } from '../job.ts';

/** Locks the job's row until the transaction ends; false when the claim is over. */
export async function lockClaimed(tx: Transaction, { id, claim, owner }: ClaimToken): Promise<boolean> {
  const result = await tx.execute(
    sql`select 1 from jobs where id = ${id} and claim = ${claim} and owner = ${owner} for update`,
  );
  return result.rows.length === 1;
}
