import { sql } from 'drizzle-orm';
import type { Database } from '../db/client.ts';
import { askNamed, namedStatement } from '../db/named-statements.ts';
import { isOlderThanKept } from './deleted-tasks.ts';

/** An event names at most so many tasks and files; more follow at once. */
export const EVENT_SIZE = 100;

/** Where an import stands at one moment. */
export interface ImportMoment {
  /** Of the reading's snapshot (pg_snapshot_xmin, decimal). */
  readonly xmin: string;
  readonly finished: boolean;
  /** Differs whenever the import's own row has changed. */
  readonly version: string;
}

/** T: a task, F: a rejected file, D: a task that was deleted. */
export type ChangeKind = 'T' | 'F' | 'D';

/** A task or a file as a read has found it. */
export interface FoundChange {
  readonly id: string;
  readonly kind: ChangeKind;
  /** Differs whenever it, or its progress, has changed. */
  readonly version: string;
  /** Whether a later read, from the position that was named as `recent`, could find it again as it is. */
  readonly recent: boolean;
}

/** Where an import stands for somebody who goes on from a position. */
interface ResumedMoment extends ImportMoment {
  /** Whether what tells of deletions since that position may have been removed. */
  readonly isTooOld: boolean;
}

/**
 * Where an import stands; null when there is none.
 * @param since the position to go on from, if there is one
 */
export async function readMoment(
  db: Database,
  importId: string,
  since: string | null,
): Promise<ResumedMoment | null> {
  const isTooOld = since === null ? sql`false` : isOlderThanKept(sql`i.team_id`, since);
  const { rows } = await db.execute<ResumedMoment & Record<string, unknown>>(sql`
    select pg_snapshot_xmin(pg_current_snapshot())::text as xmin, i.finished_at is not null as finished, i.changed_xid::text as version,
           ${isTooOld} as "isTooOld"
      from imports i where i.id = ${importId}`);
  return rows[0] ?? null;
}

export interface PageRow extends FoundChange {
  readonly ordinal: number;
}

const PAGE = namedStatement(`
  select * from (
    (select t.ordinal, t.id, 'T' as kind, t.version || ' ' || coalesce(p.claim, 0) || ' ' || coalesce(p.version, 0) as version,
            t.changed_xid >= $3::xid8 or p.task_id is not null as recent
       from tasks t left join task_progress p on p.task_id = t.id
      where t.import_id = $1 and t.ordinal > $2 order by t.ordinal limit ${EVENT_SIZE})
    union all
    (select f.ordinal, f.id, 'F', '', f.changed_xid >= $3::xid8 from failed_files f
      where f.import_id = $1 and f.ordinal > $2 order by f.ordinal limit ${EVENT_SIZE})
  ) page order by ordinal limit ${EVENT_SIZE}`);

/**
 * The next page of all tasks and rejected files, in the order they were found.
 * @param options.after the ordinal before the first
 * @param options.recent a position, as of `FoundChange.recent`
 */
export async function readPage(
  db: Database,
  importId: string,
  { after, recent }: { readonly after: number; readonly recent: string },
): Promise<readonly PageRow[]> {
  return (await askNamed<PageRow>(db, PAGE, [importId, after, recent])).rows;
}

/** What has changed, and where the import stands then. */
export interface ImportChanges extends ImportMoment {
  readonly rows: readonly FoundChange[];
  /** Whether there are more changes than are read at once: then `rows` is empty, and a snapshot tells more for less. */
  readonly isTooMuch: boolean;
}

/** Of so many changes at most a list is made in memory. */
const MAX_CHANGES = 10_000;

type PackedRow = readonly [id: string, kind: ChangeKind, version: string, recent: boolean];

const NOW = 'pg_snapshot_xmin(pg_current_snapshot())';
const FROM = `coalesce($2::xid8, ${NOW})`;
const AGAIN = `coalesce($3::xid8, ${NOW})`;

// Running tasks and those that changed are found apart, each through an index of its own: by either of two conditions at once
// all tasks of the import would be read, at each look. Running tasks are looked up by their keys, not joined: the statement is
// planned anew at each look, and to find the best join takes longer than to read what it joins.
const CHANGES = namedStatement(`
  select ${NOW}::text as xmin, i.finished_at is not null as finished, i.changed_xid::text as version,
         (select jsonb_agg(jsonb_build_array(id, kind, version, recent)) from (
            (select id, 'T' as kind, version, recent from (
               (select t.ordinal, p.task_id as id, t.version || ' ' || p.claim || ' ' || p.version as version, true as recent
                  from task_progress p cross join lateral (select ordinal, version from tasks where id = p.task_id offset 0) t
                 where p.import_id = $1 limit ${MAX_CHANGES + 1})
               union all
               (select t.ordinal, t.id, t.version || ' 0 0', t.changed_xid >= ${AGAIN} from tasks t
                 where t.import_id = $1 and t.changed_xid >= ${FROM}
                   and not exists (select from task_progress p where p.task_id = t.id)
                 order by t.changed_xid limit ${MAX_CHANGES + 1})
              ) found order by ordinal)
            union all
            (select f.id, 'F', '', f.changed_xid >= ${AGAIN} from failed_files f
              where f.import_id = $1 and f.changed_xid >= ${FROM} order by f.ordinal limit ${MAX_CHANGES + 1})
            union all
            (select d.id, 'D', '', d.changed_xid >= ${AGAIN} from deleted_tasks d
              where d.import_id = $1 and d.changed_xid >= ${FROM} limit ${MAX_CHANGES + 1})
          ) changed) as rows
    from imports i where i.id = $1`);

interface ChangesRow extends ImportMoment {
  readonly rows: readonly PackedRow[] | null;
}

/**
 * What transactions changed that are not older than a position, and every running task; all in one snapshot: an import that has
 * finished in it has no change after it. Null when there is no such import.
 * @param options.since the position; null for that of the read itself
 * @param options.recent a position, as of `FoundChange.recent`; `since` when not given
 */
export async function readChanges(
  db: Database,
  importId: string,
  { since, recent = since }: { readonly since: string | null; readonly recent?: string | null },
): Promise<ImportChanges | null> {
  const { rows } = await askNamed<ChangesRow>(db, CHANGES, [importId, since, recent]);
  const [row] = rows;
  if (!row) return null;
  const { xmin, finished, version } = row;
  const found = row.rows ?? [];
  const isTooMuch = found.length > MAX_CHANGES;
  return { xmin, finished, version, isTooMuch, rows: isTooMuch ? [] : found.map(unpack) };
}

const unpack = ([id, kind, version, recent]: PackedRow): FoundChange => ({ id, kind, version, recent });
