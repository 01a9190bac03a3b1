import { sql } from 'drizzle-orm';
import type { Database } from '../../db/client.ts';
import type { ClaimToken } from '../job.ts';

/** Whether the job's row is there, whoever has it, by the primary key; locks nothing. */
export async function isThere(db: Database, { id }: Pick<ClaimToken, 'id'>): Promise<boolean> {
  const { rows } = await db.execute(sql`select 1 from jobs where id = ${id}`);
  return rows.length === 1;
}
