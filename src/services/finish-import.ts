import { sql } from 'drizzle-orm';
import { databaseNow } from '../db/tables/types.ts';
import { transaction } from '../db/transaction.ts';
import type { Change } from '../events/changes.ts';
import { deliverWebhook, retryImport } from '../jobs/definitions.ts';
import type { Services } from './deps.ts';
import { type FinishedRun, planWebhook } from './webhook-message.ts';

type Deps = Pick<Services, 'db' | 'changes' | 'jobs' | 'secrets'>;

/** Whether it looks as if nothing of an import, under the name i, were open: only then is it worth a lock. */
const mayBeOver = sql.raw(`(i.finished_at is null and i.state in ('STARTED', 'CANCELED')
  and not exists (select from tasks o where o.import_id = i.id and o.finished_at is null))`);

/**
 * Ends an import whose planning is over and whose tasks have all ended, once: sets its state and keeps its counts. Why its
 * listing ended early stays.
 *
 * To be called after the commit of any transaction that ended a task or the planning, in a transaction of its own:
 * two tasks that end at once, each looking within its own transaction, would both see the other as open.
 */
const finishStatement = (importId: string) => sql`
  with ready as materialized (
    select id from imports
     where id = ${importId} and state in ('STARTED', 'CANCELED') and finished_at is null
       and not exists (select from tasks where import_id = ${importId} and finished_at is null)
       -- Tasks are about to be opened again.
       and not exists (select from jobs where kind = ${retryImport.kind} and subject_id = ${importId})
       for update
  ), ended as (
    select lower(status) as name, count(*) as number, sum(bytes_done) as bytes_done, sum(coalesce(bytes_total, bytes_done)) as bytes_total
      from tasks where import_id in (select id from ready) group by status
  ), figures as (
    select name, number from ended
    union all select 'bytesDone', bytes_done from ended
    union all select 'bytesTotal', bytes_total from ended
    -- Tasks that were deleted since count on.
    union all select d.key, d.value::bigint from imports i, jsonb_each_text(i.deleted_counts) d where i.id in (select id from ready)
  ), counted as (
    select coalesce(sum(number) filter (where name in ('ready', 'skipped')), 0) > 0 as came_in,
           coalesce(sum(number) filter (where name = 'ready'), 0)::int as ready,
           coalesce(sum(number) filter (where name = 'skipped'), 0)::int as skipped,
           coalesce(sum(number) filter (where name = 'failed'), 0)::int as failed,
           coalesce(sum(number) filter (where name = 'canceled'), 0)::int as canceled,
           coalesce(sum(number) filter (where name = 'bytesDone'), 0)::bigint as bytes_done,
           coalesce(sum(number) filter (where name = 'bytesTotal'), 0)::bigint as bytes_total
      from figures
  ), refused as (
    select count(*)::int as rejected from failed_files where import_id in (select id from ready)
  )
  update imports i set
    state = case when i.state = 'CANCELED' then i.state when c.came_in or i.found = 0 and i.error_code is null then 'SUCCEEDED' else 'FAILED' end,
    error_code = case when i.error_code is not null or i.state = 'CANCELED' then i.error_code
      when not c.came_in and i.found > 0 then 'NOTHING_CAME_IN' end,
    error_message = case when i.error_code is not null or i.state = 'CANCELED' then i.error_message
      when not c.came_in and i.found > 0 then 'None of the ' || i.found || ' videos came in: ' || r.rejected || ' were rejected and ' || c.failed || ' failed'
        || case when c.canceled > 0 then ', and ' || c.canceled || ' were canceled' else '' end || '. Each says why.' end,
    has_failures = c.failed + r.rejected > 0,
    counts = jsonb_build_object('rejected', r.rejected, 'uploading', 0, 'validating', 0, 'pending', 0, 'queued', 0,
      'indexing', 0, 'ready', c.ready, 'skipped', c.skipped, 'failed', c.failed, 'canceled', c.canceled,
      'bytesDone', c.bytes_done, 'bytesTotal', c.bytes_total),
    finished_at = ${databaseNow}, updated_at = ${databaseNow}
  from ready, counted c, refused r
  where i.id = ready.id
  returning i.id, i.team_id as "teamId", i.runs, i.state, i.found, i.counts, i.context, i.has_failures as "hasFailures",
    i.webhook_url as "webhookUrl", to_char(i.finished_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "finishedAt"`;

/**
 * Ends the import if nothing of it is open any more, and tells of it; with it comes the message to its webhook, so that there is
 * no end without one. Safe to call at any time, from anywhere, any number of times.
 */
export async function finishImport(deps: Deps, importId: string): Promise<void> {
  const { rows } = await deps.db.execute(
    sql`select from imports i where i.id = ${importId} and ${mayBeOver}`,
  );
  if (rows.length > 0) await endImport(deps, importId);
}

/** What follows the commit of anything that a task's job has come to: its watchers are told, and its import ends if that was the last one. */
export async function followTask(deps: Deps, taskId: string): Promise<void> {
  const { rows } = await deps.db.execute<Change & { isOver: boolean } & Record<string, unknown>>(sql`
    select t.team_id as "teamId", t.import_id as "importId",
           t.finished_at is not null and exists (select from imports i where i.id = t.import_id and ${mayBeOver}) as "isOver"
      from tasks t where t.id = ${taskId}`);
  const [task] = rows;
  if (!task) return;
  deps.changes.announce(task);
  if (task.isOver && task.importId !== null) await endImport(deps, task.importId);
}

async function endImport(deps: Deps, importId: string): Promise<void> {
  const finished = await transaction(deps.db, async (tx) => {
    // A statement of its own: what is counted then has to be seen after the lock, not as it was while waiting for it.
    await tx.execute(sql`select from imports where id = ${importId} for update`);
    const { rows } = await tx.execute<FinishedRun & Record<string, unknown>>(finishStatement(importId));
    for (const { webhookUrl, ...run } of rows)
      if (webhookUrl !== null) await planWebhook(tx, deps.secrets, { ...run, webhookUrl });
    return rows;
  });
  for (const { teamId, webhookUrl } of finished) {
    deps.changes.announce({ teamId, importId });
    if (webhookUrl !== null) deps.jobs.wake(deliverWebhook.kind);
  }
}

/** Ends every import that should have ended: what a process left behind that died between its commit and its call of finishImport. */
export async function finishImports(deps: Deps): Promise<void> {
  const { rows } = await deps.db.execute<{ id: string }>(sql`select i.id from imports i where ${mayBeOver}`);
  for (const row of rows) await endImport(deps, row.id);
}
