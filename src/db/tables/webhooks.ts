import { sql } from 'drizzle-orm';
import {
  check,
  index,
  integer,
  jsonb,
  snakeCase,
  text,
  unique,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core';
import { imports } from './imports.ts';
import { teams } from './teams.ts';
import { createdAt, id, instant } from './types.ts';

export const WEBHOOK_STATES = ['WAITING', 'DELIVERED', 'RETRYING', 'GAVE_UP'] as const;
export type WebhookState = (typeof WEBHOOK_STATES)[number];

/** One try to deliver a message. */
export interface StoredAttempt {
  /** When it began; ISO 8601 in UTC. */
  readonly at: string;
  /** Null when no answer came. */
  readonly statusCode: number | null;
  /** Why it does not count as delivered, a sentence; null when it does. */
  readonly error: string | null;
  readonly durationMs: number;
}

/** The message about the end of one run of an import; its id is the message's, the same on every try. */
export const webhookDeliveries = snakeCase.table(
  'webhook_deliveries',
  {
    id: id(),
    importId: uuid()
      .notNull()
      .references(() => imports.id, { onDelete: 'cascade' }),
    run: integer().notNull(),
    /** The JSON that is signed and sent: text, so that every try sends the same bytes. */
    body: text().notNull(),
    state: text({ enum: WEBHOOK_STATES }).notNull().default('WAITING'),
    /** Tries that have failed since it was made, or since somebody asked for it once more. */
    failures: integer().notNull().default(0),
    /** Null once it is over. */
    nextAttemptAt: instant(),
    /** The latest ones, in their order. */
    attempts: jsonb().$type<readonly StoredAttempt[]>().notNull().default([]),
    createdAt: createdAt(),
  },
  (t) => [
    unique('webhook_deliveries_run').on(t.importId, t.run),
    check('webhook_deliveries_state', sql`${t.state} in ('WAITING', 'DELIVERED', 'RETRYING', 'GAVE_UP')`),
    check(
      'webhook_deliveries_next',
      sql`(${t.nextAttemptAt} is not null) = (${t.state} in ('WAITING', 'RETRYING'))`,
    ),
  ],
);

/** What signs a team's messages: one without an end, and those before it for a while. Made when it is first needed. */
export const webhookSecrets = snakeCase.table(
  'webhook_secrets',
  {
    id: id(),
    teamId: uuid()
      .notNull()
      .references(() => teams.id, { onDelete: 'cascade' }),
    /** Encrypted. */
    secret: text().notNull(),
    /** Until when it signs beside the one that took its place; null: it is the team's current one. */
    expiresAt: instant(),
    createdAt: createdAt(),
  },
  (t) => [
    uniqueIndex('webhook_secrets_current').on(t.teamId).where(sql`${t.expiresAt} is null`),
    index('webhook_secrets_expiring').on(t.teamId, t.expiresAt).where(sql`${t.expiresAt} is not null`),
  ],
);
