import { randomBytes } from 'node:crypto';
import { sql } from 'drizzle-orm';
import type { Database, Transaction } from '../db/client.ts';
import { uuidv7 } from '../db/ids.ts';
import { apiKeys, apiKeyTeams } from '../db/tables/teams.ts';
import { transaction } from '../db/transaction.ts';
import { storeTeam } from './manage-teams.ts';
import { hashApiKey, type Scope } from './viewer.ts';

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
    const teamId = await storeTeam(tx, 'Default team');
    await storeKey(tx, key, {
      name: 'First key',
      scope: 'ADMIN',
      expiresAt: null,
      defaultTeamId: teamId,
      teamIds: [teamId],
    });
    return key;
  });
}

/** Stores a key: what it is known by, and what it may do. */
export async function storeKey(
  tx: Transaction,
  key: string,
  given: {
    readonly name: string;
    readonly scope: Scope;
    readonly expiresAt: Date | null;
    readonly defaultTeamId: string;
    /** The default team among them. */
    readonly teamIds: readonly string[];
  },
): Promise<void> {
  const { name, scope, expiresAt, defaultTeamId, teamIds } = given;
  const id = uuidv7();
  await tx
    .insert(apiKeys)
    .values({ id, name, hash: hashApiKey(key), scopes: [scope], expiresAt, defaultTeamId });
  await tx.insert(apiKeyTeams).values(teamIds.map((teamId) => ({ apiKeyId: id, teamId })));
}
