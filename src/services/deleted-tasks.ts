import { type SQL, sql } from 'drizzle-orm';
import type { Database } from '../db/client.ts';
import { BATCH, inBatches } from './batches.ts';

/** For so many days subscribers that come back are told which tasks were deleted meanwhile. */
const KEPT_DAYS = 7;

const isOld = sql`deleted_at < now() - ${KEPT_DAYS} * interval '1 day'`;

/**
 * Whether rows that tell of deletions since a position may have been removed by now, as SQL. Of each team the last row that
 * is old enough to go stays, so that this can be seen.
 * @param xmin of the position: a transaction id, decimal
 */
export const isOlderThanKept = (teamId: SQL, xmin: string): SQL =>
  sql`exists (select from deleted_tasks where team_id = ${teamId} and changed_xid >= ${xmin}::xid8 and ${isOld})`;

/**
 * Removes what tells of tasks that were deleted long ago, in short transactions.
 * @returns how many rows
 * @throws the signal's reason when it is aborted
 */
export async function forgetDeletedTasks(db: Database, signal: AbortSignal): Promise<number> {
  let removed = 0;
  const { rows } = await db.execute<{ team_id: string; last: string }>(sql`
    select distinct on (team_id) team_id, changed_xid::text as last from deleted_tasks
     where ${isOld} order by team_id, changed_xid desc`);
  for (const { team_id: teamId, last } of rows) {
    removed += await inBatches(signal, async () => {
      const { rowCount } = await db.execute(sql`
        delete from deleted_tasks where id = any(array(
          select id from deleted_tasks where team_id = ${teamId} and changed_xid < ${last}::xid8
           order by changed_xid limit ${BATCH}))`);
      return rowCount ?? 0;
    });
  }
  return removed;
}
