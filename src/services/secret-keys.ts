import { sql } from 'drizzle-orm';
import type { Database } from '../db/client.ts';
import type { SecretBox } from './secret-box.ts';

/**
 * The ids of the keys that integrations' credentials and the secrets of webhooks were encrypted with and that the box does not
 * have: none of those integrations could be imported from, and no webhook of those teams be sent.
 */
export async function findMissingKeys(db: Database, secrets: SecretBox): Promise<readonly string[]> {
  const { rows } = await db.execute<{ key: string }>(sql`
    select split_part(credentials, '.', 2) as key from integrations where credentials is not null
    union select split_part(secret, '.', 2) from webhook_secrets where expires_at is null
    order by 1`);
  return rows.map(({ key }) => key).filter((key) => !secrets.hasKey(key));
}
