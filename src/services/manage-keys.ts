import { and, asc, eq, isNull, sql } from 'drizzle-orm';
import type { Database, Transaction } from '../db/client.ts';
import { apiKeys, teams } from '../db/tables/teams.ts';
import { databaseNow } from '../db/tables/types.ts';
import { transaction } from '../db/transaction.ts';
import { ManageError } from './errors.ts';
import { makeApiKey, storeKey } from './first-start.ts';
import { findTeam } from './manage-teams.ts';
import type { Scope } from './viewer.ts';

/** A key to be made. */
export interface NewKey {
  readonly name: string;
  readonly scope: Scope;
  /** By id or name; the oldest team when there are none. */
  readonly teams: readonly string[];
  /** One of them; the first when left out. */
  readonly defaultTeam: string | undefined;
  /** When it ends; null: never. */
  readonly expiresAt: Date | null;
}

/** A key as the operator is told of it: never the key itself. */
export interface KeyEntry {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly string[];
  /** Names, the default team's first. */
  readonly teams: readonly string[];
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  readonly state: 'ACTIVE' | 'EXPIRED' | 'REVOKED';
}

const PREFIX = 'key_';

/**
 * Makes a key.
 * @returns the key itself, which is not stored and cannot be shown again
 * @throws {ManageError} when there is no such team
 */
export async function createKey(db: Database, given: NewKey): Promise<string> {
  const key = makeApiKey();
  await transaction(db, async (tx) => {
    const teamIds = await teamsOf(tx, given.teams);
    const [first] = teamIds;
    if (first === undefined)
      throw new ManageError('there is no team yet: make one with `sluice teams create`');
    const defaultTeamId = given.defaultTeam === undefined ? first : await findTeam(tx, given.defaultTeam);
    const { name, scope, expiresAt } = given;
    const all = [...new Set([defaultTeamId, ...teamIds])];
    await storeKey(tx, key, { name, scope, expiresAt, defaultTeamId, teamIds: all });
  });
  return key;
}

async function teamsOf(tx: Transaction, named: readonly string[]): Promise<readonly string[]> {
  if (named.length === 0) {
    const oldest = await tx
      .select({ id: teams.id })
      .from(teams)
      .orderBy(asc(teams.createdAt), asc(teams.id))
      .limit(1);
    return oldest.map(({ id }) => id);
  }
  const ids: string[] = [];
  for (const team of named) ids.push(await findTeam(tx, team));
  return ids;
}

/** All keys, the oldest first. */
export async function listKeys(db: Database): Promise<readonly KeyEntry[]> {
  const { rows } = await db.execute<{
    id: string;
    name: string;
    scopes: string[];
    teams: string[];
    created_at: string;
    expires_at: string | null;
    state: KeyEntry['state'];
  }>(sql`
    select k.id, k.name, k.scopes, to_json(k.created_at) #>> '{}' as created_at, to_json(k.expires_at) #>> '{}' as expires_at,
           case when k.revoked_at is not null then 'REVOKED' when k.expires_at <= now() then 'EXPIRED' else 'ACTIVE' end as state,
           array(select t.name from api_key_teams r join teams t on t.id = r.team_id
                  where r.api_key_id = k.id order by t.id = k.default_team_id desc, t.created_at, t.id) as teams
      from api_keys k order by k.created_at, k.id`);
  return rows.map(({ id, created_at: createdAt, expires_at: expiresAt, ...row }) => ({
    ...row,
    id: `${PREFIX}${id}`,
    createdAt: new Date(createdAt),
    expiresAt: expiresAt === null ? null : new Date(expiresAt),
  }));
}

/** Tells all servers that keys have changed; what servers know of keys holds for a second without it. */
export const KEYS_CHANNEL = 'sluice_keys';

/**
 * Ends a key: nothing that comes later is answered for it, at the latest from a second on, and what is open with it is closed.
 * @param named its id, or its name
 * @throws {ManageError} when there is no such key that is not revoked yet, or several have the name
 */
export async function revokeKey(db: Database, named: string): Promise<void> {
  const keys = await db
    .select({ id: apiKeys.id, name: apiKeys.name })
    .from(apiKeys)
    .where(isNull(apiKeys.revokedAt));
  const found = keys.filter(({ id, name }) => named === `${PREFIX}${id}` || named === name);
  const [one, ...others] = found;
  if (one === undefined)
    throw new ManageError(`there is no key "${named}" that could be revoked; \`sluice keys list\` shows all`);
  if (others.length > 0)
    throw new ManageError(`several keys are called "${named}": name the one that is meant by its id`);
  await transaction(db, async (tx) => {
    await tx
      .update(apiKeys)
      .set({ revokedAt: databaseNow })
      .where(and(eq(apiKeys.id, one.id), isNull(apiKeys.revokedAt)));
    await tx.execute(sql`select pg_notify(${KEYS_CHANNEL}, '')`);
  });
}
