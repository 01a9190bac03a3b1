import { sql } from 'drizzle-orm';
import { check, index, primaryKey, snakeCase, text, uuid } from 'drizzle-orm/pg-core';
import { createdAt, id, instant } from './types.ts';

/** Who owns everything else. */
export const teams = snakeCase.table('teams', {
  id: id(),
  name: text().notNull(),
  createdAt: createdAt(),
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
