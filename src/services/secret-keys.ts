import { sql } from 'drizzle-orm';
import type { Database } from '../db/client.ts';
import type { SecretBox } from './secret-box.ts';

/**
 * The ids of the keys that integrations' credentials were encrypted with and that the box does not have: none of those
 * integrations could be imported from.
 */
export async function findMissingKeys(db: Database, secrets: SecretBox): Promise<readonly string[]> {
  const { rows } = await db.execute<{ key: string }>(sql`
    select distinct split_part(credentials, '.', 2) as key from integrations where credentials is not null order by 1`);
  return rows.map(({ key }) => key).filter((key) => !secrets.hasKey(key));
}
