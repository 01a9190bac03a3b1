import { sql } from 'drizzle-orm';
import { check, index, primaryKey, snakeCase, text, uuid } from 'drizzle-orm/pg-core';
import { imports } from './imports.ts';
import { tasks } from './tasks.ts';
import { teams } from './teams.ts';
import { createdAt } from './types.ts';

/** What a key of startImport or createTask was used for: an import or a task. */
export const idempotencyKeys = snakeCase.table(
  'idempotency_keys',
  {
    teamId: uuid()
      .notNull()
      .references(() => teams.id),
    key: text().notNull(),
    inputHash: text().notNull(),
    importId: uuid().references(() => imports.id, { onDelete: 'cascade' }),
    taskId: uuid().references(() => tasks.id, { onDelete: 'cascade' }),
    createdAt: createdAt(),
  },
  (t) => [
    primaryKey({ columns: [t.teamId, t.key] }),
    check('idempotency_keys_one', sql`(${t.importId} is null) <> (${t.taskId} is null)`),
    index('idempotency_keys_import').on(t.importId),
    index('idempotency_keys_task').on(t.taskId),
  ],
);
