import { sql } from 'drizzle-orm';
import type { Database } from '../../db/client.ts';
import type { ClaimToken } from '../job.ts';

/**
 * Notes that the job has its worker for itself from now on: if the lease is lost from here on, the job did it.
 *
 * @returns false when the claim is over
 */
export async function markAlone(db: Database, { id, claim, owner }: ClaimToken): Promise<boolean> {
  const result = await db.execute(
    sql`update jobs set alone = true where id = ${id} and claim = ${claim} and owner = ${owner}`,
  );
  return result.rowCount === 1;
}
