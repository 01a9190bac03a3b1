import { sql } from 'drizzle-orm';
import type { Database } from '../../db/client.ts';
import type { ClaimToken } from '../job.ts';

/** Whether the claim is not over, by the primary key; locks nothing. */
export async function hasClaim(db: Database, { id, claim, owner }: ClaimToken): Promise<boolean> {
  const { rows } = await db.execute(
    sql`select 1 from jobs where id = ${id} and claim = ${claim} and owner = ${owner}`,
  );
  return rows.length === 1;
}
