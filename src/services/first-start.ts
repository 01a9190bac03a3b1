import { randomBytes } from 'node:crypto';
import { sql } from 'drizzle-orm';
import type { Database } from '../db/client.ts';
import { uuidv7 } from '../db/ids.ts';
import { indexes } from '../db/tables/indexes.ts';
import { apiKeys, apiKeyTeams, teams } from '../db/tables/teams.ts';
import { transaction } from '../db/transaction.ts';
import { hashApiKey } from './viewer.ts';

/** Serializes first starts: two servers on one empty database make one team. Any number will do, as long as it is ours. */
const FIRST_START_LOCK = 7_418_529_630;

/** A new API key: `slc_` and 256 random bits in base64url. */
export function makeApiKey(): string {
  return `slc_${randomBytes(32).toString('base64url')}`;
}

/**
 * Makes the first team, its default index and its ADMIN key if the database has no key yet.
 * @param chosen the key to use instead of a random one
 * @returns the key that was made, to be shown once; null when the database had one already
 */
export async function ensureFirstTeam(db: Database, chosen?: string): Promise<string | null> {
  return await transaction(db, async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${FIRST_START_LOCK})`);
    const { rows } = await tx.execute(sql`select 1 from api_keys limit 1`);
    if (rows.length > 0) return null;
    const key = chosen ?? makeApiKey();
    const teamId = uuidv7();
    const apiKeyId = uuidv7();
    await tx.insert(teams).values({ id: teamId, name: 'Default team' });
    await tx.insert(indexes).values({ id: uuidv7(), teamId, name: 'Default index', isDefault: true });
    await tx.insert(apiKeys).values({
      id: apiKeyId,
      name: 'First key',
      hash: hashApiKey(key),
      scopes: ['ADMIN'],
      defaultTeamId: teamId,
    });
    await tx.insert(apiKeyTeams).values({ apiKeyId, teamId });
    return key;
  });
}
