import { relationsFilterToSQL, type SQL, sql } from 'drizzle-orm';
import type { Database } from '../db/client.ts';
import { relations, tables } from '../db/relations.ts';
import { isOlderThanKept } from './deleted-tasks.ts';
import { lastingTaskConditions, type TaskFilter, taskConditionsOf } from './filters.ts';

/** Which tasks a feed is about. */
export interface FeedSubject {
  readonly teamId: string;
  readonly filter: TaskFilter;
}

/** An event names at most so many tasks. */
export const PAGE = 100;

/** What was changed between two snapshots, in the order of transactions and ids. */
export interface FeedPage {
  /** The later snapshot, as PostgreSQL writes it: `xmin:xmax:xip`. */
  readonly to: string;
  /** At most a page of tasks: those that match now, and those that were deleted or do not. */
  readonly rows: readonly (readonly [xid: string, id: string, isMatch: boolean])[];
  /** Differs for each running task that matches whenever its progress does; with the first page only. */
  readonly running: Readonly<Record<string, string>>;
}

/** Which page of changes is asked for. */
export interface FeedPageOptions {
  /** What this snapshot saw has been told. */
  readonly from: string;
  /** Null for the first page: as things are now, and the snapshot of that is what later pages end with. */
  readonly to: string | null;
  /** The last row of the page before. */
  readonly after: readonly [xid: string, id: string] | null;
}

/** Conditions of relational queries as SQL about rows of `tasks`. */
const toSql = (conditions: readonly object[]): SQL =>
  relationsFilterToSQL(tables.tasks, { AND: [...conditions] }, relations.tasks.relations, relations) ??
  sql`true`;

/**
 * Reads a page of the changes of a team's tasks. Rows are found by the transaction that changed them last: those that began
 * after the earlier snapshot, and those that were open in it, so that a late commit is neither missed nor told
 * twice. Either way it is a range of an index, however many tasks there are.
 */
export async function readFeedPage(
  db: Database,
  subject: FeedSubject,
  { from, to, after }: FeedPageOptions,
): Promise<FeedPage> {
  const { teamId, filter } = subject;
  const isMatch = toSql(taskConditionsOf([teamId], filter));
  const wasMatch = toSql(lastingTaskConditions(filter));
  const isSeen = to === null ? sql`true` : sql`pg_visible_in_snapshot(changed_xid, ${to}::pg_snapshot)`;
  const parts = changedSince(from, after).flatMap((isChanged) => {
    const rest = sql`team_id = ${teamId} and ${isChanged} and ${isSeen}`;
    const order = sql`order by changed_xid, id limit ${PAGE}`;
    return [
      sql`(select changed_xid, id, ${isMatch} as is_match from tasks where ${rest} and ${wasMatch} ${order})`,
      sql`(select changed_xid, id, false from deleted_tasks where ${rest} ${order})`,
    ];
  });
  const { rows } = await db.execute<{
    to: string;
    rows: FeedPage['rows'] | null;
    running: FeedPage['running'] | null;
  }>(sql`
    select coalesce(${to}, pg_current_snapshot()::text) as "to",
           (select jsonb_agg(jsonb_build_array(changed_xid::text, id, is_match) order by changed_xid, id)
              from (select * from (${sql.join(parts, sql` union all `)}) changed order by changed_xid, id limit ${PAGE}) page) as rows,
           ${to === null ? runningTasks(teamId, isMatch) : sql`null::jsonb`} as running`);
  const [row] = rows;
  if (!row) throw new Error('a statement of one row gave none');
  return { to: row.to, rows: row.rows ?? [], running: row.running ?? {} };
}

/**
 * The ranges of transactions that a snapshot did not see, and of them what comes after a row: those that were open in it, and
 * those that began later. An index is entered where its range begins, so that each has no bound but its own.
 */
function changedSince(from: string, after: FeedPageOptions['after']): readonly SQL[] {
  const [, xmax = '', open = ''] = from.split(':');
  const isAfter =
    after === null ? sql`true` : sql`(changed_xid, id) > (${after[0]}::xid8, ${after[1]}::uuid)`;
  const isOpen = sql`changed_xid = any(array(select pg_snapshot_xip(${from}::pg_snapshot)))`;
  const isNew = sql`changed_xid >= ${xmax}::xid8`;
  if (after !== null && BigInt(after[0]) >= BigInt(xmax)) return [isAfter];
  return open === '' ? [isNew] : [sql`${isOpen} and ${isAfter}`, isNew];
}

const runningTasks = (teamId: string, isMatch: SQL) => sql`
  (select jsonb_object_agg(tasks.id, p.claim || ' ' || p.version)
     from task_progress p join tasks on tasks.id = p.task_id where p.team_id = ${teamId} and ${isMatch})`;

/** Where a feed begins. */
export interface FeedStart {
  readonly now: string;
  readonly running: FeedPage['running'];
  /** Whether changes since the position that was given may be known no more. */
  readonly isTooOld: boolean;
}

/**
 * Reads where things stand.
 * @param xmin of a cursor, or null
 */
export async function readFeedStart(
  db: Database,
  { teamId, filter }: FeedSubject,
  xmin: string | null,
): Promise<FeedStart> {
  const isTooOld = xmin === null ? sql`false` : isOlderThanKept(sql`${teamId}`, xmin);
  const { rows } = await db.execute<{
    now: string;
    running: FeedPage['running'] | null;
    isTooOld: boolean;
  }>(sql`
    select pg_current_snapshot()::text as now, ${runningTasks(teamId, toSql(taskConditionsOf([teamId], filter)))} as running,
           ${isTooOld} as "isTooOld"`);
  const [row] = rows;
  if (!row) throw new Error('a statement of one row gave none');
  return { ...row, running: row.running ?? {} };
}
