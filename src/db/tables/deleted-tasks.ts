import { sql } from 'drizzle-orm';
import { index, snakeCase, uuid } from 'drizzle-orm/pg-core';
import { databaseNow, id, instant, xid8 } from './types.ts';

/**
 * Tasks that were deleted, for subscribers that go on from a cursor: a trigger of the migration writes a row for every
 * deleted row of tasks, whoever deleted it. They are kept for some days, see services/deleted-tasks.ts.
 */
export const deletedTasks = snakeCase.table(
  'deleted_tasks',
  {
    /** Of the task. */
    id: id(),
    teamId: uuid().notNull(),
    importId: uuid(),
    changedXid: xid8().notNull().default(sql`pg_current_xact_id()`),
    deletedAt: instant().notNull().default(databaseNow),
  },
  (t) => [
    index('deleted_tasks_by_team').on(t.teamId, t.changedXid, t.id),
    index('deleted_tasks_by_import').on(t.importId, t.changedXid),
    index('deleted_tasks_by_time').on(t.deletedAt),
  ],
);
