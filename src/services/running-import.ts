import { sql } from 'drizzle-orm';
import type { Database, Transaction } from '../db/client.ts';

/** The import that runs from an integration, or ran from it last; null when there is none. */
export async function runningImport(
  db: Database | Transaction,
  integrationId: string | null,
): Promise<string | null> {
  const { rows } = await db.execute<{ id: string }>(sql`
    select id from imports where integration_id = ${integrationId} and source = 'INTEGRATION'
     order by finished_at desc nulls first, created_at desc limit 1`);
  return rows[0]?.id ?? null;
}
