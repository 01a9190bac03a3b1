import { sql } from 'drizzle-orm';
import {
  bigint,
  check,
  doublePrecision,
  index,
  integer,
  primaryKey,
  snakeCase,
  text,
  timestamp,
  uuid,
} from 'drizzle-orm/pg-core';
import { byteCount, createdAt, id, instant } from './types.ts';

/** Who owns everything else. */
export const teams = snakeCase.table(
  'teams',
  {
    id: id(),
    name: text().notNull(),
    /** What its videos may come to in all; null: as much as there is room for. */
    maxVideos: integer(),
    maxBytes: byteCount(),
    maxSeconds: doublePrecision(),
    /** Media URLs say which one they are of, and hold in this one only: another one calls back all that are out. */
    mediaEpoch: integer().notNull().default(0),
    createdAt: createdAt(),
  },
  (t) => [
    check('teams_limits', sql`${t.maxVideos} >= 0 and ${t.maxBytes} >= 0 and ${t.maxSeconds} >= 0`),
    check('teams_media_epoch', sql`${t.mediaEpoch} between 0 and 65535`),
  ],
);

/** The figures of a team's use. Milliseconds, so that sums are exact. */
const figures = () => ({
  /** What its videos hold. */
  videos: byteCount().notNull().default(0),
  bytes: byteCount().notNull().default(0),
  milliseconds: byteCount().notNull().default(0),
  /** What tasks have been promised that are still bringing theirs in. */
  reservedVideos: byteCount().notNull().default(0),
  reservedBytes: byteCount().notNull().default(0),
  reservedMilliseconds: byteCount().notNull().default(0),
});

/** What a team uses, but for the changes that are not added yet. No foreign key, as in the changes. */
export const teamUsage = snakeCase.table('team_usage', { teamId: uuid().primaryKey(), ...figures() });

/**
 * Changes of what teams use, written by triggers of `videos` and `tasks` and by nothing else, so that none can be
 * forgotten. Only added, never changed: whoever ends a task waits for nobody. Housekeeping adds them to `team_usage`.
 */
export const teamUsageChanges = snakeCase.table(
  'team_usage_changes',
  {
    id: bigint({ mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
    // No foreign key: its check would lock the team's row once for every video.
    teamId: uuid().notNull(),
    ...figures(),
  },
  (t) => [index('team_usage_changes_team').on(t.teamId)],
);

/** When a key's next call may come, for limits on how often. The migration makes the table UNLOGGED: a crash forgives. */
export const rateLimits = snakeCase.table('rate_limits', {
  keyId: uuid()
    .primaryKey()
    .references(() => apiKeys.id, { onDelete: 'cascade' }),
  /** When all calls so far would be within the rate; to the microsecond, for a call may stand for less than a millisecond. */
  spentUntil: timestamp({ withTimezone: true }).notNull(),
});

/** Keys are known by the SHA-256 of the whole, never by themselves. */
export const apiKeys = snakeCase.table(
  'api_keys',
  {
    id: id(),
    name: text().notNull(),
    hash: text().notNull().unique(),
    scopes: text().array().notNull(),
    defaultTeamId: uuid()
      .notNull()
      .references(() => teams.id),
    createdAt: createdAt(),
    expiresAt: instant(),
    revokedAt: instant(),
  },
  (t) => [
    check(
      'api_keys_scopes',
      sql`${t.scopes} <@ array['READ', 'WRITE', 'ADMIN'] and cardinality(${t.scopes}) > 0`,
    ),
  ],
);

/** The teams that a key reaches; its default team among them. */
export const apiKeyTeams = snakeCase.table(
  'api_key_teams',
  {
    apiKeyId: uuid()
      .notNull()
      .references(() => apiKeys.id, { onDelete: 'cascade' }),
    teamId: uuid()
      .notNull()
      .references(() => teams.id, { onDelete: 'cascade' }),
  },
  (t) => [primaryKey({ columns: [t.apiKeyId, t.teamId] }), index('api_key_teams_team').on(t.teamId)],
);
